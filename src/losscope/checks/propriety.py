"""The true probabilities minimise the expected loss: the loss is a proper scoring rule.

For random distributions over the classes (or a random probability of each binary outcome) the expected loss is
minimised over the prediction. Where another prediction does better than the true probabilities, the loss asks a model
for something else: flatter ones (focal loss, label smoothing), sharper (absolute error) or tilted ones (class weights).
"""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.claimed import judge
from losscope.checks.outcomes import (
    SURE,
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

DISTRIBUTIONS = 3
SECONDS = 0.12
CLOSE = 0.02

_BETTER = Text(
    en="where the true probability is {true:.3g}, {found:.3g} costs less: {value:.6g}, not {at_truth:.6g}",
    zh="真实概率为 {true:.3g} 时，预测 {found:.3g} 的期望损失更小：{value:.6g}，而非 {at_truth:.6g}",
)
_PASS = Text(
    en="for {count} random distributions nothing costs less than the true probabilities",
    zh="对 {count} 个随机分布，没有预测比真实概率的期望损失更小",
)
_NOT_APPLICABLE = Text(en="there is no probability to compare: {why}", zh="没有可比较的概率：{why}")

Judgement = Callable[[Outcomes, Minima], Tensor | None]
"""The prediction that refutes the property, if there is one."""


def better(outcomes: Outcomes, found: Minima) -> Tensor | None:
    """A prediction that costs less than the truth."""
    del outcomes
    vector, value = found.ends[0]
    return vector if value < found.at_truth - found.tolerance else None


def examine(subject: Subject, name: str, refutes: Judgement, text: Text, holds: Text) -> Iterator[Result]:
    """Minimise the expected loss for several distributions and judge the property called ``name``."""
    why = why_not(subject)
    if why:
        yield skipped(_NOT_APPLICABLE, why=why)
        return
    counterexample = None
    for seed in range(DISTRIBUTIONS):
        outcomes = draw_outcomes(subject, seed)
        found = smallest(outcomes, SECONDS, seed)
        vector = refutes(outcomes, found)
        if vector is not None:
            counterexample = refutation(outcomes, found, vector, text)
            break
    yield judge(subject, name, counterexample, passed(holds, {}, count=DISTRIBUTIONS))


def refutation(outcomes: Outcomes, found: Minima, vector: Tensor, text: Text) -> Result:
    """The batch at ``vector``, and the element that is farthest from the truth."""
    subject, slack = outcomes.subject, found.tolerance
    implied = outcomes.implied(vector)
    worst = int((implied - outcomes.true).abs().argmax())
    with torch.no_grad():
        value = float(outcomes.expected(vector))
    equal = value > found.at_truth - slack

    def fails(candidate: Sequence[Tensor]) -> bool:
        if not constant(subject, candidate):
            return False
        here = outcomes_of(subject, candidate)
        if float(here.true.min()) < SURE or float(here.true.max()) > 1 - SURE:
            return False
        z = here.free.vector()
        with torch.no_grad():
            less = float(here.expected(z)) - float(here.expected(here.truth))
        far = float((here.implied(z) - here.true).abs().max()) > CLOSE
        return (far and less <= slack) if equal else less < -slack

    true, implied_there = float(outcomes.true.reshape(-1)[worst]), float(implied.reshape(-1)[worst])
    return failed(
        "by-design",
        text(true=true, found=implied_there, value=value, at_truth=found.at_truth),
        case=case_of(outcomes, vector),
        fails=fails,
        seen=f"{value:.6g} at probability {implied_there:.3g}",
        expected=f"{'more than' if equal else 'at least'} {found.at_truth:.6g}, the loss at the true {true:.3g}",
        figures={"true probability": true, "minimiser": implied_there},
    )


def _run(subject: Subject) -> Iterator[Result]:
    yield from examine(subject, "proper", better, _BETTER, _PASS)


CHECK = Check(
    name="proper",
    title=Text(
        en="proper: the true probabilities minimise the expected loss", zh="恰当：真实概率使期望损失最小"
    ),
    run=_run,
    claim=True,
)

LOGITS = (Argument("input", "logits"), Argument("target", "class-index"))


def broken() -> Subject:
    """Class weights, averaged by the sum of the weights: a batch of one sample would hide them."""
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    return Subject(name="weighted", call=lambda z, y: F.cross_entropy(z, y, weight=weight), arguments=LOGITS)


def sound() -> Subject:
    return Subject(name="cross-entropy", call=F.cross_entropy, arguments=LOGITS)
