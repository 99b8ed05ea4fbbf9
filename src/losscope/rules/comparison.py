"""A value of a term in brackets behind itself: its share of the chance level, how far it lies above its floor."""

from losscope.core.text import Message, Text
from losscope.rules.numbers import percent, readable
from losscope.rules.terms import TermView

_MATTERS = 0.01  # of the chance level: a floor below that is as good as zero
_SHARE = Text(en=" ({percent} % of chance)", zh="（随机水平的 {percent}%）")
_TIMES = Text(en=" ({times} times chance)", zh="（随机水平的 {times} 倍）")
_SHARE_ABOVE = Text(
    en=" ({percent} % of chance, {above}{unit} above the floor)",
    zh="（随机水平的 {percent}%，高于下限 {above}{unit}）",
)
_ABOVE = Text(en=" ({above}{unit} above the floor)", zh="（高于下限 {above}{unit}）")


def compared(value: float, term: TermView) -> Message | None:
    """``None`` where neither chance level nor floor says anything about ``value`` (without coefficient).

    A share of the chance level means something only where both are positive; a value below the floor is not
    compared with it.
    """
    above = None
    if (
        term.floor is not None
        and term.floor <= value
        and abs(term.floor) > _MATTERS * abs(term.chance or 0.0)
    ):
        above = readable(value - term.floor)
    if term.chance is None or term.chance <= 0 or value <= 0:
        return None if above is None else _ABOVE(above=above, unit=term.unit)
    ratio = value / term.chance
    if ratio >= 2:
        return _TIMES(times=f"{ratio:.2g}")
    if above is None:
        return _SHARE(percent=percent(ratio))
    return _SHARE_ABOVE(percent=percent(ratio), above=above, unit=term.unit)
