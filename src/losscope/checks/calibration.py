"""The minimiser of the expected loss ranks the likeliest class first (classification-calibrated).

The weaker sister of propriety: the scores need not be probabilities, but a decision by the largest score (by the sign,
for two classes) must be the best one. Random distributions with and without a majority are minimised over; a loss that
allows a wrong or a tied ranking at its minimum is refuted. Multi-class hinge losses need a majority, a sum of
probabilities in the wrong place needs luck.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.claimed import judge
from losscope.checks.outcomes import (
    Minima,
    Outcomes,
    case_of,
    constant,
    draw_outcomes,
    outcomes_of,
    smallest,
    why_not,
)
from losscope.checks.subject import Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_DISTRIBUTIONS = 4
_SECONDS, _AGAIN = 0.12, 3.0
_MARGIN = 0.02

_WRONG = Text(
    en="a prediction that does not rank the likeliest class first (probability {true:.3g}) costs no more: {value:.6g},"
    " while the best that does costs {best:.6g}",
    zh="未把最可能的类别（概率 {true:.3g}）排首位的预测损失并不更大：{value:.6g}，排对的最优值为 {best:.6g}",
)
_PASS = Text(
    en="for {count} random distributions the minimiser ranks the likeliest class first",
    zh="对 {count} 个随机分布，最小点都把最可能的类别排在首位",
)
_NOT_APPLICABLE = Text(en="there is no class to decide for: {why}", zh="没有可判定的类别：{why}")


def _decides(outcomes: Outcomes, vector: Tensor) -> bool:
    """Whether every decision of a prediction is the likeliest outcome, without a tie."""
    row = vector.reshape(outcomes.true.shape)
    if not outcomes.classes:
        return bool(((row * (outcomes.true - 0.5)) > 0).all())
    right = outcomes.true.argmax(outcomes.axis, keepdim=True)
    others = row.scatter(outcomes.axis, right, -torch.inf).amax(outcomes.axis, keepdim=True)
    return bool((row.gather(outcomes.axis, right) > others).all())


def _tied(outcomes: Outcomes, vector: Tensor) -> Tensor:
    """The same prediction with the likeliest class no better than its rival; without a preference for two classes."""
    row = vector.reshape(outcomes.true.shape)
    if not outcomes.classes:
        return torch.zeros_like(vector)
    right = outcomes.true.argmax(outcomes.axis, keepdim=True)
    axis = outcomes.axis
    rest = row.scatter(axis, right, -torch.inf)
    middle = (row.gather(axis, right) + rest.amax(axis, keepdim=True)) / 2
    return row.scatter(axis, right, middle).scatter(axis, rest.argmax(axis, keepdim=True), middle).reshape(-1)


def wrong_decision(outcomes: Outcomes, found: Minima) -> tuple[Tensor, float, float] | None:
    """A prediction that decides wrongly at no more cost than the best right one, its cost, and that best cost."""
    right = [(outcomes.truth, found.at_truth)]
    wrong = []
    for vector, value in found.ends:
        (right if _decides(outcomes, vector) else wrong).append((vector, value))
        tied = _tied(outcomes, vector)
        with torch.no_grad():
            wrong.append((tied, float(outcomes.expected(tied))))
    best = min(value for _, value in right)
    vector, value = min(wrong, key=lambda pair: pair[1])
    return (vector, value, best) if value <= best + found.tolerance else None


def counterexample(outcomes: Outcomes, found: Minima) -> Result | None:
    """The batch with a wrong decision that costs no more, if there is one; what time cut short is searched again."""
    refuted = wrong_decision(outcomes, found)
    if refuted is not None and not found.done:
        found = smallest(outcomes, _AGAIN)
        refuted = wrong_decision(outcomes, found) if found.done else None
    if refuted is None:
        return None
    vector, value, best = refuted
    subject, slack = outcomes.subject, found.tolerance
    row = (
        outcomes.true.reshape(outcomes.true.shape[0], outcomes.true.shape[1], -1)
        if outcomes.classes
        else None
    )
    true = float(row[0, :, 0].max()) if row is not None else float(outcomes.true.reshape(-1)[0])

    def fails(candidate: Sequence[Tensor]) -> bool:
        if not constant(subject, candidate):
            return False
        here = outcomes_of(subject, candidate)
        first, second = (
            here.true.topk(2, here.axis).values.unbind(here.axis) if here.classes else (here.true, 0.5)
        )
        gap = (first - second).abs()
        if float(gap.min()) < _MARGIN:
            return False
        z = here.free.vector()
        if _decides(here, z):
            return False
        with torch.no_grad():
            cost = float(here.expected(z))
        return cost <= min(best for _, best in smallest(here, 0.05).ends) + slack

    return failed(
        "by-design",
        _WRONG(true=true, value=value, best=best),
        case=case_of(outcomes, vector),
        fails=fails,
        seen=f"{value:.6g} with a wrong or tied decision",
        expected=f"more than {best:.6g}",
        figures={"expected loss": value, "best with the right decision": best},
    )


def _run(subject: Subject) -> Iterator[Result]:
    why = why_not(subject, margins=True)
    if why:
        yield skipped(_NOT_APPLICABLE, why=why)
        return
    refuted = None
    for seed in range(_DISTRIBUTIONS):
        outcomes = draw_outcomes(subject, seed)
        refuted = counterexample(outcomes, smallest(outcomes, _SECONDS, seed))
        if refuted is not None:
            break
    yield judge(subject, "calibrated", refuted, passed(_PASS, {}, count=_DISTRIBUTIONS))


CHECK = Check(
    name="calibrated",
    title=Text(
        en="calibrated: its minimiser decides for the likeliest class", zh="校准：其最小点选择最可能的类别"
    ),
    run=_run,
    claim=True,
)

_LOGITS = (Argument("input", "logits"), Argument("target", "class-index"))


def broken() -> Subject:
    """The multi-class hinge loss of Crammer and Singer: without a majority its minimiser is a tie."""

    def hinge(z: Tensor, y: Tensor) -> Tensor:
        own = z.gather(1, y[:, None])
        others = z.scatter(1, y[:, None], -torch.inf).amax(1)
        return (1 + others - own[:, 0]).clamp_min(0).mean()

    return Subject(name="crammer-singer", call=hinge, arguments=_LOGITS)


def sound() -> Subject:
    return Subject(name="cross-entropy", call=F.cross_entropy, arguments=_LOGITS)
