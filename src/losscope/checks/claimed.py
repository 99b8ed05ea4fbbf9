"""What a found or missing counterexample means, given what the contract of the loss claims."""

import inspect
from dataclasses import replace

from losscope.checks.check import Result, failed, skipped
from losscope.checks.subject import Subject
from losscope.core.claims import Claim
from losscope.core.text import Message, Text

_BROKEN = ("the contract claims the opposite: ", "契约声称相反：")
_AS_CLAIMED = ("as the contract says, ", "与契约一致：")
_NOT_FOUND = Text(
    en="the contract says that the loss is not {name}, but no counterexample was found",
    zh="契约称该损失不具备“{name}”，但没有找到反例",
)
_LAX = Text(
    en="the contract claims {name} = {claimed:.6g}, but the largest value found is {found:.6g}: the claim is lax",
    zh="契约声称 {name} = {claimed:.6g}，但找到的最大值只有 {found:.6g}：该界过松",
)
LAX = 0.8
"""A claimed supremum of which a search finds less than this share is too large, or the search is too weak."""


def claim_of(subject: Subject, name: str) -> Claim | None:
    """The claim called ``name``, which speaks of the default options.

    With other options (label smoothing, another δ) the property is reported and not judged. A reduction, and options
    that have no default, change nothing.
    """
    spec = subject.spec
    if spec is None or not by_default(subject):
        return None
    return next((claim for claim in spec.claims if claim.name == name), None)


def by_default(subject: Subject) -> bool:
    """Whether the options are those that the claims of the contract speak of."""
    return not any(_differs(subject, option) for option in subject.options)


def _differs(subject: Subject, option: str) -> bool:
    """Whether an option has another value than the function of the contract has by default."""
    if option == "reduction" or subject.options[option] is None:
        return False
    default = default_of(subject, option)
    if default is inspect.Parameter.empty:
        return False
    same = subject.options[option] == default
    return not (isinstance(same, bool) and same)


def default_of(subject: Subject, option: str) -> object:
    """The default of an option of the contract's function; ``None`` where there is no such option."""
    if subject.spec is None or subject.spec.function is None:
        return None
    try:
        parameter = inspect.signature(subject.spec.function).parameters.get(option)
    except (TypeError, ValueError):  # a builtin without a signature
        return None
    return None if parameter is None else parameter.default


def judge(subject: Subject, name: str, counterexample: Result | None, holds: Result) -> Result:
    """The answer for a property that ``counterexample`` refutes, or that ``holds`` as far as a search can tell.

    Against a claim a mismatch is a bug, of either side; without one the lack of a property is by design.
    """
    claim = claim_of(subject, name)
    if counterexample is None:
        if claim is None or claim.holds:
            return holds
        # Of a loss that only has the same values, the contract is no promise that a search could be held to.
        return skipped(_NOT_FOUND, name=name) if subject.by_value else failed("bug", _NOT_FOUND(name=name))
    if claim is None:
        return replace(counterexample, severity="by-design")
    if claim.holds:
        return replace(counterexample, severity="bug", text=_prefixed(counterexample.text, _BROKEN))
    text = _prefixed(counterexample.text, _AS_CLAIMED)
    return Result(text=text, figures=counterexample.figures)


def judge_constant(
    subject: Subject, name: str, found: float, counterexample: Result | None, holds: Result, *, lax: bool
) -> Result:
    """:func:`judge` for a claimed supremum, of which a search reached ``found``.

    With ``lax`` (the search was not cut short) it must also not be too large.
    """
    claim = claim_of(subject, name)
    claimed = claim.value if claim is not None and claim.holds and lax and not subject.by_value else None
    if counterexample is None and claimed and found < LAX * claimed:
        text = _LAX(name=name, claimed=claimed, found=found)
        return failed("bug", text, seen=f"{found:.6g}", expected=f"{claimed:.6g}", figures=holds.figures)
    return judge(subject, name, counterexample, holds)


def _prefixed(message: Message, prefix: tuple[str, str]) -> Message:
    text = Text(en=prefix[0] + message.text.en, zh=prefix[1] + message.text.zh)
    return Message(text, message.values)
