"""The geometry section: what the examination of the objective found, in words and pictures.

The document comes from a file: everything in it is checked for its kind before it is used, and escaped.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from losscope.core.text import Language
from losscope.report.charts.density import density_chart
from losscope.report.charts.rates import rate_axis
from losscope.report.charts.shares import share_rows
from losscope.report.values import number
from losscope.report.words import word

_LONGEST = 2000  # characters of one text


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing with its title, the keys of its shades, and a note."""

    title: str
    svg: str
    keys: tuple[tuple[str, str], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Geometry:
    """``why`` is set where there was no examination, and then nothing else is."""

    sentence: str = ""
    said: tuple[str, ...] = ()
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    pictures: tuple[Picture, ...] = ()
    left_out: tuple[str, ...] = ()
    why: str = ""
    seconds: str = ""


def geometry_view(
    document: Mapping[str, Any] | None,
    language: Language,
    identity: Callable[[str], str],
    used: float | None = None,
) -> Geometry | None:
    """The section of an ``examination.json``; ``used`` is the last learning rate of the run."""
    if document is None:
        return None
    if document.get("examined") is False:
        return Geometry(why=_both(document.get("why"), language))
    words = _mapping(_mapping(document.get("words")).get(language))
    texts = [_text(t) for t in _list(words.get("facts"))]
    facts = [_mapping(f) for f in _list(document.get("facts"))]
    titles = _mapping(words.get("titles"))
    groups: dict[str, list[str]] = {}
    for fact, text in zip(facts, texts, strict=False):
        groups.setdefault(_text(fact.get("look")), []).append(text)
    by_name = {_text(f.get("name")): _mapping(f.get("figures")) for f in facts}
    seconds = _number(document.get("seconds"))
    return Geometry(
        sentence=_text(words.get("sentence")),
        said=tuple(_both(s, language) for s in _list(document.get("objective"))),
        groups=tuple((_text(titles.get(name, name)), tuple(found)) for name, found in groups.items()),
        pictures=tuple(_pictures(by_name, language, identity, used)),
        left_out=tuple(_text(t) for t in _list(words.get("left_out"))),
        seconds="" if seconds is None else word("geometry.seconds", language, seconds=number(seconds)),
    )


def _pictures(
    figures: Mapping[str, Mapping[str, Any]],
    language: Language,
    identity: Callable[[str], str],
    used: float | None,
) -> list[Picture]:
    top, spectrum, stable = (figures.get(n, {}) for n in ("sharpness", "spectrum", "stable-rate"))
    largest = _numbers(top.get("eigenvalues"))
    found = []
    title = word("geometry.spectrum", language)
    drawn = density_chart(
        identity("spectrum"),
        title,
        word("geometry.spectrum-text", language, values=", ".join(number(v) for v in largest) or "–"),
        _numbers(spectrum.get("at")),
        _numbers(spectrum.get("density")),
        largest,
    )
    if drawn:
        found.append(Picture(title, drawn, note=word("geometry.spectrum-note", language)))
    rows = [
        (f"λ{i + 1} = {number(value)}", _shares(direction))
        for i, (value, direction) in enumerate(zip(largest, _list(top.get("directions")), strict=False))
    ]
    if any(shares for _, shares in rows):
        title = word("geometry.directions", language)
        drawn, names = share_rows(
            identity("directions"), title, word("geometry.directions-text", language), rows
        )
        keys = tuple((f"q{6 - i}", name) for i, name in enumerate(names))
        found.append(Picture(title, drawn, keys, word("geometry.directions-note", language)))
    return found + (
        _own_rate(figures.get("stability", {}), language, identity)
        or _rates(stable, language, identity, used)
    )


def _own_rate(found: Mapping[str, Any], language: Language, identity: Callable[[str], str]) -> list[Picture]:
    """The optimiser's largest learning rate on its way to the largest that is stable."""
    pairs = list(zip(_numbers(found.get("rates")), _numbers(found.get("stable rates")), strict=False))
    if not pairs:
        return []
    now, most = max(pairs)
    title, own = (
        word("geometry.own-rate", language),
        (word("geometry.now", language, rate=number(now)), now),
    )
    limits = [(word("geometry.stable", language, rate=number(most)), most)]
    drawn = rate_axis(identity("rates"), title, f"{limits[0][0]}; {own[0]}", limits, own)
    return [Picture(title, drawn, note=own[0])] if drawn else []


def _rates(
    stable: Mapping[str, Any], language: Language, identity: Callable[[str], str], used: float | None
) -> list[Picture]:
    plain, momentum = _number(stable.get("plain")), _number(stable.get("momentum"))
    if plain is None:
        return []
    limits = [(word("geometry.plain", language, rate=number(plain)), plain)]
    if momentum is not None:
        limits.append((word("geometry.momentum", language, rate=number(momentum)), momentum))
    own = None if used is None else (word("geometry.used", language, rate=number(used)), used)
    title = word("geometry.rates", language)
    description = "; ".join([*(name for name, _ in limits), *([own[0]] if own else [])])
    drawn = rate_axis(identity("rates"), title, description, limits, own)
    return [Picture(title, drawn, note=own[0] if own else "")] if drawn else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value[:1000] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""


def _both(value: Any, language: Language) -> str:
    return _text(_mapping(value).get(language))


def _number(value: Any) -> float | None:
    fine = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if fine else None


def _numbers(value: Any) -> list[float]:
    return [n for v in _list(value) if (n := _number(v)) is not None]


def _shares(value: Any) -> dict[str, float]:
    return {_text(k): n for k, v in _mapping(value).items() if (n := _number(v)) is not None}
