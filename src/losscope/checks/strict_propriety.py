"""Only the true probabilities minimise the expected loss: the loss is a strictly proper scoring rule.

As ``proper``, and no other prediction may do as well. A loss that is not even proper is refuted in the same way; one
that is proper but ignores a part of the prediction is refuted by a second minimiser. Probabilities learnt with a
strictly proper loss can be trusted as far as the model and the data go.
"""

from collections.abc import Iterator

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result
from losscope.checks.outcomes import Minima, Outcomes
from losscope.checks.propriety import CLOSE, LOGITS, better, examine
from losscope.checks.subject import Subject
from losscope.core.text import Text

AS_GOOD = Text(
    en="where the true probability is {true:.3g}, {found:.3g} costs no more: {value:.6g}, not {at_truth:.6g}",
    zh="真实概率为 {true:.3g} 时，预测 {found:.3g} 的期望损失并不更大：{value:.6g}，真实概率处为 {at_truth:.6g}",
)
_PASS = Text(
    en="for {count} random distributions every search ends at the true probabilities or above their loss",
    zh="对 {count} 个随机分布，每次搜索都终止于真实概率，或终止于更大的期望损失",
)


def as_good(outcomes: Outcomes, found: Minima) -> Tensor | None:
    """A prediction that costs less than the truth, or as much and is another one."""
    if (vector := better(outcomes, found)) is not None:
        return vector
    for vector, value in found.ends:
        far = float((outcomes.implied(vector) - outcomes.true).abs().max()) > CLOSE
        if far and value <= found.at_truth + found.tolerance:
            return vector
    return None


def _run(subject: Subject) -> Iterator[Result]:
    yield from examine(subject, "strictly-proper", as_good, AS_GOOD, _PASS)


CHECK = Check(
    name="strictly-proper",
    title=Text(
        en="strictly proper: only the true probabilities minimise the expected loss",
        zh="严格恰当：只有真实概率使期望损失最小",
    ),
    run=_run,
    claim=True,
)


def broken() -> Subject:
    """Focal loss: its minimiser is flatter than the truth."""

    def focal(z: Tensor, y: Tensor) -> Tensor:
        log_p = z.log_softmax(1).gather(1, y[:, None])[:, 0]
        return (-((1 - log_p.exp()) ** 2) * log_p).mean()

    return Subject(name="focal", call=focal, arguments=LOGITS)


def sound() -> Subject:
    return Subject(name="cross-entropy", call=F.cross_entropy, arguments=LOGITS)
