"""Numbers in words: what a value means beside its chance level and its floor, never nonsense.

The *chance level* is the loss of the best constant prediction for the targets seen, the *floor* the
smallest loss that these targets and options allow. Either may be unknown, negative (densities), or
contradict the other; each case has its own sentence.
"""

import math
from typing import Literal

from losscope.core.text import Language, Text

Standing = Literal[
    "not-measured",
    "not-finite",
    "alone",
    "below-floor",
    "at-floor",
    "between",
    "at-chance",
    "worse-than-chance",
    "no-room",
    "contradiction",
]

# Relative width within which a value is said to be "at" a level. Batch noise hides anything finer.
NEAR = 0.01
# Nearer than this share of the way from chance to the floor, a value counts as being at the floor.
AT_FLOOR = 0.001

_WORDS: dict[str, Text] = {
    "not-measured": Text(en="not measured", zh="未测量"),
    "not-finite": Text(
        en="{value}: not a finite number, so it says nothing about progress",
        zh="{value}：不是有限数值，无法说明训练进展",
    ),
    "alone": Text(en="{value}", zh="{value}"),
    "below-floor": Text(
        en="{value} lies below the floor {floor}: it cannot be a mean over these targets",
        zh="{value} 低于下限 {floor}：它不可能是这些目标上的均值",
    ),
    "at-floor": Text(
        en="{value}, practically at the floor {floor}: there is hardly anything left to gain",
        zh="{value}，几乎已达下限 {floor}：可改进的余地极小",
    ),
    "share": Text(
        en="{value} = {share} of the chance level {chance}", zh="{value} = 随机水平 {chance} 的 {share}"
    ),
    "share-floor": Text(
        en="{value} = {share} of the chance level {chance}, and {above} above the floor {floor}: {left} of the "
        "way between them is left",
        zh="{value} = 随机水平 {chance} 的 {share}，比下限 {floor} 高 {above}：从随机水平到下限的路程还剩 {left}",
    ),
    "above": Text(
        en="{value}, which is {above} above the floor {floor}", zh="{value}，比下限 {floor} 高 {above}"
    ),
    "left": Text(
        en="{value}; {left} of the way from the chance level {chance} to the floor {floor} is left",
        zh="{value}；从随机水平 {chance} 到下限 {floor} 的路程还剩 {left}",
    ),
    "difference": Text(
        en="{value}, {difference} below the chance level {chance}",
        zh="{value}，比随机水平 {chance} 低 {difference}",
    ),
    "at-chance": Text(
        en="{value}, at the chance level {chance}: no better than a constant answer",
        zh="{value}，处于随机水平 {chance}：不比恒定输出更好",
    ),
    "worse-than-chance": Text(
        en="{value}, {difference} above the chance level {chance}: worse than a constant answer",
        zh="{value}，比随机水平 {chance} 高 {difference}：比恒定输出更差",
    ),
    "worse-ratio": Text(
        en="{value} = {times}× the chance level {chance}: worse than a constant answer",
        zh="{value} = 随机水平 {chance} 的 {times} 倍：比恒定输出更差",
    ),
    "no-room": Text(
        en="{value}; the chance level {chance} is already the floor, so these targets leave nothing to learn",
        zh="{value}；随机水平 {chance} 已是下限，这些目标没有可学的内容",
    ),
    "contradiction": Text(
        en="{value}; the chance level {chance} and the floor {floor} contradict each other, so it is not "
        "compared",
        zh="{value}；随机水平 {chance} 与下限 {floor} 相互矛盾，因此不作比较",
    ),
}


def number(value: float | None, digits: int = 3) -> str:
    """``digits`` significant digits; a trailing zero is shown only where a digit was rounded away.

    >>> number(2.302585), number(0.1), number(1.0), number(0.0000123), number(123456)
    ('2.30', '0.1', '1', '1.23e-5', '123,456')
    """
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "-∞")
    if value == 0:
        return "0"
    if float(value).is_integer() and abs(value) < 1e7:
        return f"{int(value):,}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -4 <= power < 5:
        text = f"{value:.{max(0, digits - 1 - power)}f}"
        if math.isclose(float(text), value, rel_tol=1e-9) and "." in text:
            text = text.rstrip("0").rstrip(".")
        return f"{float(text):,.0f}" if power >= 3 else text
    if math.isclose(float(f"{mantissa}e{exponent}"), value, rel_tol=1e-9) and "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{power}"


def percent(share: float | None) -> str:
    """A share as per cent: one decimal below ten, none above.

    >>> percent(0.134), percent(0.0123), percent(0.00001), percent(12.0)
    ('13 %', '1.2 %', '<0.1 %', '1,200 %')
    """
    if share is None or not math.isfinite(share):
        return number(share)
    if share == 0:
        return "0 %"
    if abs(share) < 0.0005:
        return "<0.1 %" if share > 0 else "-0.0 %"
    return f"{share * 100:.1f} %" if abs(share) < 0.0995 else f"{share * 100:,.0f} %"


def duration(seconds: float | None) -> str:
    """Seconds as a person says them: ``0.42 s``, ``12 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return "–"
    if seconds < 9.95:
        return f"{number(seconds, 2)} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def in_unit(value: float | None, unit: str) -> str:
    """A number with its unit; nats also as bits.

    >>> in_unit(0.31, "nats"), in_unit(2.0, ""), in_unit(None, "nats")
    ('0.31 nats = 0.447 bits', '2', '–')
    """
    shown = number(value)
    if value is None or not math.isfinite(value) or not unit:
        return shown
    bits = f" = {number(value / math.log(2))} bits" if unit == "nats" and value else ""
    return f"{shown} {unit}{bits}"


def standing(value: float | None, chance: float | None, floor: float | None) -> Standing:
    """Where a loss value stands between its chance level and its floor; unknown levels are ``None``."""
    if value is None:
        return "not-measured"
    if not math.isfinite(value):
        return "not-finite"
    chance, floor = _finite_or_none(chance), _finite_or_none(floor)
    room = None if chance is None or floor is None else chance - floor
    near = NEAR * (room if room else max(abs(chance or 0.0), abs(floor or 0.0)))
    if room is not None and chance is not None:
        size = max(abs(chance), abs(chance - room))
        if abs(room) <= 1e-6 * size or size == 0.0:
            return "no-room"
        if room < 0:
            return "contradiction"
    if floor is not None and value < floor - near - 1e-12:
        return "below-floor"
    # A floor of zero is only approached; the share of the chance level says more about a small value.
    if floor is not None and value <= (floor + near * AT_FLOOR / NEAR if floor else 0.0):
        return "at-floor"
    if chance is None:
        return "alone"
    if abs(value - chance) <= near:
        return "at-chance"
    return "worse-than-chance" if value > chance else "between"


def in_words(
    value: float | None,
    *,
    chance: float | None = None,
    floor: float | None = None,
    unit: str = "",
    language: Language = "en",
) -> str:
    """A loss value beside its chance level and floor, in one clause.

    >>> in_words(0.31, chance=2.302585, floor=0.0, unit="nats")
    '0.31 nats = 13 % of the chance level 2.30'
    >>> in_words(0.81, floor=0.5, unit="nats")
    '0.81 nats, which is 0.31 nats above the floor 0.5'
    >>> in_words(-1.2, chance=-0.4, unit="nats")
    '-1.2 nats, 0.8 below the chance level -0.4'
    """
    where = standing(value, chance, floor)
    chance, floor = _finite_or_none(chance), _finite_or_none(floor)
    key, extra = _clause(where, value, chance, floor)
    tail = f" {unit}" if unit and value is not None and math.isfinite(value) else ""
    if value is not None and floor is not None:
        extra = extra | {"above": number(value - floor) + tail}
    shown = number(value) + tail
    message = _WORDS[key](value=shown, chance=number(chance), floor=number(floor), **extra)
    return message.render(language)


def _clause(
    where: Standing, value: float | None, chance: float | None, floor: float | None
) -> tuple[str, dict[str, str]]:
    """The key of the sentence and the comparisons that it needs."""
    if where == "alone" and floor:
        return "above", {}
    if value is None or chance is None or where not in ("between", "worse-than-chance"):
        return where, {}
    # A ratio to the chance level means something only where the scale has its zero at the floor's side.
    ratio_makes_sense = chance > 0 and value >= 0 and (floor is None or floor >= 0)
    gap = {"difference": number(abs(chance - value))}
    if where == "worse-than-chance":
        times = value / chance if chance > 0 else 0.0
        return (
            ("worse-ratio", {"times": number(times, 2)})
            if ratio_makes_sense and times >= 1.5
            else (where, gap)
        )
    left = {"left": percent((value - floor) / (chance - floor))} if floor is not None else {}
    if not ratio_makes_sense:
        return ("left", left) if left else ("difference", gap)
    share = {"share": percent(value / chance)}
    if floor is None or floor <= 1e-9 * chance:
        return "share", share
    return "share-floor", share | left


def _finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
