"""``wrong-reduction``: the loss is a sum where a mean is meant, or a mean that was divided once more.

**What it says.** The loss of a batch is a sum over samples, pixels or classes, and the learning rate that was chosen
for a mean makes steps so many times too large. Or a mean is divided by the batch size or by the number of classes
again, and the steps are so many times too small.

**Statistic.** *Sum* (error where the run diverged, else a warning): a learning deficit, an optimiser whose step grows
with its gradient, no clipping, and the learning rate that the same steps would have on the mean,
lr · coefficient · elements / (1 − momentum), is 1 or more. *Divided again* (warning): the coefficient of a mean is one
over the batch size, or over the number of classes, in every sampled update (to 0.1 %), such an optimiser, and a model
that has hardly learnt.

**Source.** ∇ Σℓ = n ∇ mean ℓ. Goyal et al. (2017), arXiv:1706.02677, section 2: the rate belongs to the mean.

**Example.** ``nn.MSELoss(reduction="sum")`` with ``SGD(lr=0.1)`` and batches of 64: NaN after six updates.
``loss = F.cross_entropy(z, y) / len(y)``: a rate of 0.1 acts as 0.0016.

**Remedy.** ``reduction="mean"`` without a further division; or a learning rate that is divided, or multiplied, by the
same number.

**False alarms.** Silent on every sum that learns, whatever its rate; under Adam and other optimisers that do not care
for a factor of the loss; where gradients are clipped; on accumulated batches, which are divided by their number.
"""

import numpy as np

from losscope.core.finding import Evidence, Finding, NotJudged
from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.deficit import learning_deficit
from losscope.rules.numbers import readable
from losscope.rules.planted import Planted, PlantedTerm, every, falling, optimizer, record
from losscope.rules.reasons import no_event, no_loss
from losscope.rules.rule import Outcome, Rule
from losscope.rules.step_size import grows_with_gradient, has_hardly_learnt, learning_rate
from losscope.rules.streams import events_of, main_stream, optimizer_groups, progress, values
from losscope.rules.terms import TermView, terms

_RATE, _MANY, _LEAST, _EXACT = 1.0, 8, 5, 1e-3
_TITLE_SUM = Text(
    en="The loss is a sum of {count}: a learning rate of {rate:.3g} acts as {effective} would on the mean",
    zh="损失是 {count} 项之和：学习率 {rate:.3g} 相当于对平均值使用 {effective}",
)
_EVIDENCE_SUM = Text(
    en="{kind} is summed ({reduction}) and counts {count} times its mean; the step of the optimiser grows with it",
    zh="{kind} 采用求和（{reduction}），是其平均值的 {count} 倍；优化器的步长随之增大",
)
_EXPECTED_SUM = Text(en="a learning rate below 1 on the mean", zh="对平均值的学习率小于 1")
_REMEDY_SUM = Text(
    en="Use the mean, reduction='mean', or divide the learning rate by {count}.",
    zh="改用平均值 reduction='mean'，或把学习率除以 {count}。",
)
_TITLE_AGAIN = Text(
    en="The mean loss is divided by {what} again: a learning rate of {rate:.3g} acts as {effective}",
    zh="平均损失又被{what_zh}除了一次：学习率 {rate:.3g} 只相当于 {effective}",
)
_EVIDENCE_AGAIN = Text(
    en="{kind} is a mean, and is multiplied by 1/{count} in what is minimised",
    zh="{kind} 已取平均，而在被最小化的量中又乘以 1/{count}",
)
_EXPECTED_AGAIN = Text(en="a mean that counts once", zh="平均值只计一次")
_REMEDY_AGAIN = Text(
    en="Leave out the division by {count}; cross_entropy and mse_loss have taken the mean already.",
    zh="去掉除以 {count} 的步骤；cross_entropy 与 mse_loss 已经取了平均。",
)
_BATCH, _CLASSES = ("the batch size", "批次大小"), ("the number of classes", "类别数")


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording)
    if stream is None:
        return no_loss()
    if not events_of(recording, "anatomy", stream):
        return no_event("anatomy")
    rate = learning_rate(recording, stream)
    if not rate or not grows_with_gradient(recording, stream):
        return []
    found = _divided_again(recording, stream, rate)
    if found is None and values(recording, signals.CLIP_NORM, stream).size == 0:
        deficit = learning_deficit(recording)
        if isinstance(deficit, NotJudged):
            return deficit
        found = _summed(recording, stream, rate, deficit) if deficit is not None else None
    return [found] if found is not None else []


def _summed(recording: Recording, stream: str, rate: float, deficit: str) -> Finding | None:
    judging = [
        term for term in terms(recording, stream) if term.is_data and term.reduction in ("sum", "batchmean")
    ]
    counts = [(abs(term.coefficient) * _elements(term), i) for i, term in enumerate(judging)]
    if not counts:
        return None
    count, index = max(counts)
    term, effective = judging[index], rate * count / (1 - _momentum(recording, stream))
    if count < _MANY or effective < _RATE:
        return None
    shown = readable(float(f"{count:.3g}"))
    evidence = Evidence(
        text=_EVIDENCE_SUM(kind=term.kind, reduction=term.reduction, count=shown),
        signal=signals.LOSS.name,
        label=stream,
        value=count,
        expected=_EXPECTED_SUM(),
    )
    title = _TITLE_SUM(count=shown, rate=rate, effective=readable(rate * count))
    broke = deficit in ("diverged", "non-finite")
    return _finding(term, title, evidence, _REMEDY_SUM(count=shown), 0.9 if broke else 0.7, broke=broke)


def _elements(term: TermView) -> int:
    """Over how many elements the reduction adds up."""
    if term.reduction == "sum":
        return term.elements or 1
    shape = term.target.get("shape") or ()
    return int(np.prod(shape[1:])) if len(shape) > 1 else 1


def _momentum(recording: Recording, stream: str) -> float:
    groups = optimizer_groups(recording, stream)
    return min(max((float(g.get("momentum") or 0.0) for g in groups), default=0.0), 0.999)


def _divided_again(recording: Recording, stream: str, rate: float) -> Finding | None:
    if isinstance(progress(recording), NotJudged) or values(recording, signals.BACKWARDS, stream).size:
        return None
    for term in terms(recording, stream):
        if term.reduction != "mean" or not term.is_data or not has_hardly_learnt(recording, stream):
            continue
        weights = recording.series(signals.TERM_COEFFICIENT, term.label)
        sizes = recording.series(signals.BATCH_SIZE, term.label)
        _, ours, theirs = np.intersect1d(weights.steps, sizes.steps, return_indices=True)
        classes = float(term.options.get("num_classes") or 0)
        batch = weights.values[ours] * sizes.values[theirs]
        for product, count, names in (
            (batch, float(sizes.values[-1]) if len(sizes) else 0.0, _BATCH),
            (weights.values * classes, classes, _CLASSES),
        ):
            if product.size >= _LEAST and count >= _MANY and bool((np.abs(product - 1) < _EXACT).all()):
                return _again(term, rate, count, names)
    return None


def _again(term: TermView, rate: float, count: float, names: tuple[str, str]) -> Finding:
    evidence = Evidence(
        text=_EVIDENCE_AGAIN(kind=term.kind, count=f"{count:g}"),
        signal=signals.TERM_COEFFICIENT.name,
        label=term.label,
        value=1 / count,
        expected=_EXPECTED_AGAIN(),
    )
    title = _TITLE_AGAIN(what=names[0], what_zh=names[1], rate=rate, effective=readable(rate / count))
    return _finding(term, title, evidence, _REMEDY_AGAIN(count=f"{count:g}"), 0.9, broke=False)


def _finding(
    term: TermView, title: Message, evidence: Evidence, remedy: Message, confidence: float, *, broke: bool
) -> Finding:
    return RULE.finding(
        title=title,
        severity="error" if broke else "warning",
        confidence=confidence,
        evidence=(evidence,),
        remedy=remedy,
        where=term.where,
    )


RULE = Rule(
    code="wrong-reduction",
    severity="error",
    title=Text(en="The loss is reduced over a batch in the wrong way", zh="损失在批次上的归约方式错误"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "dead-units",
        "diverging-loss",
        "exploding-gradient",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "loss-spikes",
        "momentum-too-high",
        "non-finite",
        "oscillating-loss",
        "plateau-above-floor",
        "saturated-units",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """Squares summed over 640 elements under gradient descent with 0.1: the loss grows without end."""
    loss = np.geomspace(640.0, 6.4e8, 600)
    return _run(loss, "sum", 640)


def healthy() -> Recording:
    """The same sum and rate, and it learns: the inputs are small."""
    return _run(falling(start=640.0, end=6.4), "sum", 640)


def _run(loss: np.ndarray, reduction: str, elements: int) -> Recording:
    contract = {"reduction": reduction, "elements": elements, "task": "regression"}
    term = PlantedTerm(kind="mse", chance=640.0, chance_error=1.0, contract=contract)
    series: Planted = {(signals.LEARNING_RATE, "0/0"): every(600, 600, 0.1)}
    return record(loss, terms=[term], series=series, events=[optimizer()])
