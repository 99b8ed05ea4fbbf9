"""Helpers of the two rules about the smallest value that a loss can take."""

from losscope.core.text import Message, Text
from losscope.rules.terms import TermView

_SMOOTHING = Text(en="label smoothing of {value:g}", zh="标签平滑 {value:g}")
_DOUBLE_SOFTMAX = Text(en="probabilities in place of logits", zh="用概率代替了 logits")
_UNNAMED = Text(en="the targets and options of {kind}", zh="{kind} 的目标与选项")


def reason(term: TermView) -> Message:
    """Why the floor of a term is where it is."""
    if "double-softmax" in term.notes:
        return _DOUBLE_SOFTMAX()
    smoothing = term.options.get("label_smoothing")
    if isinstance(smoothing, int | float) and smoothing > 0:
        return _SMOOTHING(value=float(smoothing))
    return _UNNAMED(kind=term.kind)
