"""Source-to-source edits: functions from a text to the changed text, or ``None`` where they do not apply."""

import re
from collections.abc import Callable
from dataclasses import dataclass

Edit = Callable[[str], str | None]


@dataclass(frozen=True)
class Change:
    """One operator: ``codes`` are the findings that would be right (none: the training stays healthy).

    ``source`` says where the literature has it; the letters are DeepCrime's (Humbatova, Jahangirova, Tonella 2021).
    """

    name: str
    codes: tuple[str, ...]
    source: str
    edit: Edit


def swap(pattern: str, new: str | Callable[[re.Match[str]], str], count: int = 1) -> Edit:
    """Replace what a regular expression finds (lines are anchored); ``count`` 0 is everywhere."""

    def edit(text: str) -> str | None:
        made, times = re.subn(pattern, new, text, count=count, flags=re.MULTILINE)
        return made if times and made != text else None

    return edit


def drop(pattern: str, count: int = 0) -> Edit:
    """Remove whole lines that match."""
    return swap(rf"^[ \t]*{pattern}[^\n]*\n", "", count)


def chain(*edits: Edit) -> Edit:
    """All, one after the other; each must apply."""

    def edit(text: str) -> str | None:
        made: str | None = text
        for one in edits:
            made = one(made) if made is not None else None
        return made

    return edit


def either(*edits: Edit) -> Edit:
    """The first that applies."""

    def edit(text: str) -> str | None:
        return next((made for one in edits if (made := one(text)) is not None), None)

    return edit


def only(pattern: str, edit: Edit) -> Edit:
    """``edit`` where the text holds the pattern."""
    return lambda text: edit(text) if re.search(pattern, text, re.MULTILINE) else None


def unless(pattern: str, edit: Edit) -> Edit:
    """``edit`` where the text does not hold the pattern."""
    return lambda text: None if re.search(pattern, text, re.MULTILINE) else edit(text)


def scaled(name: str, factor: float) -> Edit:
    """Multiply every numerical keyword argument of this name."""
    return swap(rf"\b{name}=([0-9.]+(?:e-?[0-9]+)?)", lambda m: f"{name}={float(m[1]) * factor:g}", 0)


OPTIMIZER = r"^(?P<indent>[ \t]*)(?P<opt>\w+) = torch\.optim\.(?P<kind>\w+)\((?P<of>\w+)\.parameters\(\)(?P<rest>[^\n]*)\)\n"
"""The line that makes the optimiser of a model."""


def after_optimizer(lines: str) -> Edit:
    """Insert lines after the optimiser is made; ``{model}``, ``{opt}``, ``{line}`` are put in."""

    def put(m: re.Match[str]) -> str:
        filled = lines.format(model=m["of"], opt=m["opt"], line=m[0].strip())
        return m[0] + "".join(f"{m['indent']}{line}\n" for line in filled.splitlines())

    return swap(OPTIMIZER, put)


def before_optimizer(lines: str) -> Edit:
    """Insert lines before the optimiser is made."""

    def put(m: re.Match[str]) -> str:
        filled = lines.format(model=m["of"], opt=m["opt"], line=m[0].strip())
        return "".join(f"{m['indent']}{line}\n" for line in filled.splitlines()) + m[0]

    return swap(OPTIMIZER, put)


def model_of(text: str) -> str:
    """The name of the model that the optimiser holds."""
    found = re.search(OPTIMIZER, text, re.MULTILINE)
    return found["of"] if found else "model"


def around_backward(before: str = "", after: str = "") -> Edit:
    """Lines before and after the one line with ``loss.backward()``; ``{model}`` is put in."""

    def edit(text: str) -> str | None:
        def put(m: re.Match[str]) -> str:
            lines = [*before.splitlines(), "loss.backward()", *after.splitlines()]
            return "".join(f"{m[1]}{line}\n" for line in lines).replace("{model}", model_of(text))

        if "{model}" in before + after and not re.search(OPTIMIZER, text, re.MULTILINE):
            return None
        return swap(r"^([ \t]*)loss\.backward\(\)\n", put)(text)

    return edit


def in_batch(lines: str) -> Edit:
    """Insert lines where a batch has arrived: ``{x}`` and ``{y}`` are its names."""

    def put(m: re.Match[str]) -> str:
        filled = lines.format(x=m["x"], y=m["y"])
        return m[0] + "".join(f"{m['indent']}    {line}\n" for line in filled.splitlines())

    return swap(r"^(?P<indent>[ \t]*)for (?P<x>\w+), (?P<y>\w+) in (?:train_)?loader:\n", put)


BATCHES = (
    r"^(?P<i>[ \t]*)x(?P<b>b?), y(?P=b) = (?:get_)?batch\((?P<rest>(?:train_ids|data\[:split\])[^\n]*)\)\n"
)


def labels(expression: str) -> Edit:
    """``expression`` of the labels ``{y}`` in place of the labels of each batch."""
    return either(
        in_batch("{y} = " + expression),
        swap(BATCHES, lambda m: m[0] + f"{m['i']}y{m['b']} = " + expression.format(y="y" + m["b"]) + "\n"),
        swap(
            r"criterion\(log_probabilities, y\[batch\]\)",
            "criterion(log_probabilities, " + expression.format(y="y[batch]") + ")",
        ),
        swap(
            r"^(\s*)tokens, lengths, yb = (.*)\n",
            lambda m: m[0] + f"{m[1]}yb = " + expression.format(y="yb") + "\n",
        ),
    )
