"""What to add to a loss that is a sum: which of its terms to watch, and what the sum cannot fall below.

Said only where reading the sum as the loss of the data would mislead: where a penalty is at least a tenth of
it, so that the two differ in their first digits, or where one term is over nine tenths of it, while another, with
which the sum hardly moves, has more than a tenth of its way from chance to its floor before it.
"""

import math

from losscope.core.text import Message, Text
from losscope.rules.comparison import compared
from losscope.rules.composition import Composition, Part
from losscope.rules.messages import join
from losscope.rules.numbers import percent, readable

_TENTH = 0.1
_PENALTY = Text(
    en=" The penalty is {penalty} of the total {total}: watch the data term, ",
    zh="总值 {total} 中惩罚项占 {penalty}：请关注数据项，",
)
_PENALTY_OF_MANY = Text(
    en=" The penalty is {penalty} of the total {total}: watch the data terms, {rest} together",
    zh="总值 {total} 中惩罚项占 {penalty}：请关注各数据项，合计 {rest}",
)
_HIDDEN = Text(
    en=" {kind} is {percent} % of the total: watch {hidden} by itself, ",
    zh="总值的 {percent}% 来自 {kind}：请单独关注 {hidden}，",
)
_VALUE = Text(en="{value}{unit}", zh="{value}{unit}")
_STOP = Text(en=".", zh="。")
_AT_LEAST = Text(
    en=" The total cannot fall below {bound}.",
    zh="总值不可能低于 {bound}。",
)


def remark(found: Composition) -> Message | None:
    """``None`` where the total says as much as its parts, or where one of them is not known."""
    parts, total = found.parts, found.total
    if len(parts) < 2 or total is None or total <= 0 or any((p.contribution or 0.0) < 0 for p in parts):
        return None
    said = _of_penalty(parts, total) or _of_hidden(parts, total)
    bound = found.at_least
    if bound is not None and bound >= _TENTH * total:
        least = _AT_LEAST(bound=readable(bound))
        said = least if said is None else join(said, least)
    return said


def _of_penalty(parts: tuple[Part, ...], total: float) -> Message | None:
    penalty = math.fsum(part.contribution or 0.0 for part in parts if part.term.task == "penalty")
    data = [part for part in parts if part.term.is_data]
    if penalty < _TENTH * total or not data:
        return None
    told = {"penalty": readable(penalty), "total": readable(total)}
    if len(data) == 1:
        return join(_PENALTY(**told), _value(data[0]), _STOP())
    rest = math.fsum(part.contribution or 0.0 for part in data)
    return join(_PENALTY_OF_MANY(**told, rest=readable(rest)), _STOP())


def _of_hidden(parts: tuple[Part, ...], total: float) -> Message | None:
    """Of the terms that the largest hides, the one that is furthest from its floor, in units of chance − floor."""
    data = [part for part in parts if part.term.is_data]
    largest = max(data, key=lambda part: part.contribution or 0.0, default=None)
    if largest is None or (largest.contribution or 0.0) <= (1 - _TENTH) * total:
        return None
    far = [part for part in data if part is not largest and _left(part) > _TENTH]
    if not far:
        return None
    hidden = max(far, key=_left)
    share = percent((largest.contribution or 0.0) / total)
    begun = _HIDDEN(kind=largest.term.kind, percent=share, hidden=hidden.term.kind)
    return join(begun, _value(hidden), _STOP())


def _left(part: Part) -> float:
    """Share of the way from chance to the floor that is left; 0 where either is unknown."""
    term = part.term
    if part.value is None or term.span is None or term.floor is None:
        return 0.0
    return (part.value - term.floor) / term.span


def _value(part: Part) -> Message:
    """The value without coefficient; in brackets where it stands."""
    value = part.value or 0.0
    return join(_VALUE(value=readable(value), unit=part.term.unit), compared(value, part.term))
