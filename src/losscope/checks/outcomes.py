"""Random distributions of targets, and the expected loss of one prediction under them.

A batch of M samples holds every outcome as often as its probability says, and all samples have the same prediction:
the loss of the batch is the expected loss. Several samples are needed, since a batch of one hides class weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.domains import Free
from losscope.checks.minimise import minima
from losscope.checks.samples import NEGLIGIBLE
from losscope.checks.subject import Case, Subject, replaced

_SOFTMAX = frozenset({"logits", "log-probabilities", "class-probabilities", "class-mask-logits"})
_SIGMOID = frozenset({"binary-logits", "probabilities", "mask-logits", "mask-probabilities"})
_MARGIN = frozenset({"scores", "values", *_SIGMOID})
_CLASSES = frozenset({"class-index", "class-index-map", "ordinal-index", "one-hot", "distribution"})
_BINARY = frozenset({"binary", "binary-label", "mask", "unit"})
_SIGNS = frozenset({"sign", "sign-label"})
_NEUTRAL = frozenset({"weights", "events"})
SURE = 0.01
"""Probabilities closer to 0 or 1 than this are not judged: their scores are nearly infinite."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """A batch whose targets follow ``true`` probabilities, in the shape of one row of the prediction.

    ``free`` stands for the one prediction of all samples; for classes its softmax is the implied distribution, for
    binary outcomes its sigmoid, whatever the kind of the prediction.
    """

    subject: Subject
    free: Free
    true: Tensor
    classes: bool
    axis: int = 1

    def expected(self, vector: Tensor) -> Tensor:
        return self.free.value(vector)

    def implied(self, vector: Tensor) -> Tensor:
        """The probabilities that a vector stands for, in the shape of ``true``."""
        row = vector.reshape(self.true.shape)
        return row.softmax(self.axis) if self.classes else row.sigmoid()

    @property
    def truth(self) -> Tensor:
        """The vector whose probabilities are the true ones."""
        q = self.true.clamp(1e-12, 1)
        return (q.log() if self.classes else q.log() - (1 - self.true).clamp_min(1e-12).log()).reshape(-1)


@dataclass(frozen=True, slots=True)
class Minima:
    """Where searches for the smallest expected loss ended, best first; the loss at ``truth``; what counts as equal."""

    ends: list[tuple[Tensor, float]]
    at_truth: float
    tolerance: float
    done: bool  # time ended none of them


def why_not(subject: Subject, *, margins: bool = False) -> str:
    """Why the loss has no probabilities that could be compared with true ones, or nothing.

    With ``margins`` real scores of two classes will do, whose sign is the decision.
    """
    if len(subject.predictions) != 1 or len(subject.targets) != 1:
        return "it takes more than one prediction and one target"
    p, t = subject.predictions[0], subject.targets[0]
    fixed = {a.kind for a in subject.arguments if a.role == "fixed"}
    if fixed - _NEUTRAL:
        return f"it takes {', '.join(sorted(fixed))}"
    if subject.kind(p) in _SOFTMAX and subject.kind(t) in _CLASSES:
        axis = subject.axis(p, "C")
        same = axis is not None and subject.axis(p) == 0 and subject.axis(t, "C") in (axis, None)
        return "" if same else "its scores are not one per class"
    spec = subject.spec
    claimed = spec is not None and any(c.name in ("proper", "strictly-proper") for c in spec.claims)
    logits = spec is not None and (claimed or spec.input_space == "logits" or spec.elicits == "probability")
    allowed = _MARGIN if margins or logits else _SIGMOID
    two = subject.kind(t) in _BINARY | _SIGNS or (
        subject.kind(t) == "one-hot" and subject.kind(p) in _SIGMOID
    )
    if subject.kind(p) in allowed and two and _same_axes(subject, p, t):
        return ""
    return "its predictions are no probabilities of classes"


def _same_axes(subject: Subject, p: int, t: int) -> bool:
    first, second = subject.arguments[p], subject.arguments[t]
    return (first.axes or first.of.axes) == (second.axes or second.of.axes)


def true_probabilities(subject: Subject, case: Sequence[Tensor]) -> Tensor:
    """Relative frequency of every class, or of outcome 1, among the samples of a case; one row."""
    p, t = subject.predictions[0], subject.targets[0]
    target = case[t]
    if not target.dtype.is_floating_point:
        axis = subject.axis(p, "C") or 1
        target = F.one_hot(target, case[p].shape[axis]).movedim(-1, axis).double()
    mean = target.to(torch.float64).mean(0, keepdim=True)
    return (1 + mean) / 2 if subject.kind(t) in _SIGNS else mean


def outcomes_of(subject: Subject, case: Sequence[Tensor]) -> Outcomes:
    """The distribution that the targets of a case follow."""
    case = tuple(case)
    classes = subject.kind(subject.predictions[0]) in _SOFTMAX
    free = Free(subject, case, frozenset({"N"}))
    axis = subject.axis(subject.predictions[0], "C") or 1
    return Outcomes(subject, free, true_probabilities(subject, case), classes, axis)


def constant(subject: Subject, case: Sequence[Tensor]) -> bool:
    """Whether all samples have the same prediction."""
    return all(bool((case[i] == case[i].narrow(0, 0, 1)).all()) for i in subject.predictions)


def draw_outcomes(subject: Subject, seed: int) -> Outcomes:
    """A random distribution: no class is certain, one is the likeliest.

    With even seeds no class has a majority; with some, all binary outcomes are equally likely.
    """
    p, t = subject.predictions[0], subject.targets[0]
    generator = torch.Generator().manual_seed(1000 + seed)
    small = {a: min(2, subject.sizes.get(a, 2)) for a in ("H", "W", "T") if subject.axis(p, a) is not None}
    small = {} if subject.spec is not None and set(small) & set(subject.spec.sizes) else small
    shape = subject.case(0, **small)[p].shape
    if subject.kind(p) in _SOFTMAX:
        axis = subject.axis(p, "C") or 1
        classes, places = shape[axis], (*shape[1:axis], *shape[axis + 1 :])
        samples = 4 * classes
        columns = [
            _labels(generator, classes, samples, seed % 2 == 0) for _ in range(torch.Size(places).numel())
        ]
        target = torch.stack(columns, 1).reshape(samples, *places)
        if subject.kind(t) in ("one-hot", "distribution"):
            target = F.one_hot(target, classes).movedim(-1, axis).double()
    else:
        samples = 10
        places = torch.Size(shape[1:]).numel()
        alike = 4 if seed % 4 == 1 else None
        columns = [_bits(generator, samples, alike) for _ in range(max(1, places))]
        target = torch.stack(columns, 1).reshape(samples, *shape[1:])
        target = 2 * target - 1 if subject.kind(t) in _SIGNS else target
    case = subject.case(seed, N=samples, **small)
    changes = {i: torch.ones_like(case[i]) for i, a in enumerate(subject.arguments) if a.role == "fixed"}
    return outcomes_of(subject, replaced(case, {**changes, t: target}))


def _labels(generator: torch.Generator, classes: int, samples: int, even: bool) -> Tensor:
    """Every class at least once, one of them most often; ``even``: but less often than all others together."""
    share = 0.4 if even and classes > 2 else 0.6
    top = round(share * samples)
    rest = samples - top
    weights = 0.5 + torch.rand(classes - 1, generator=generator, dtype=torch.float64)
    counts = (weights / weights.sum() * (rest - (classes - 1))).floor().long() + 1
    counts[0] += rest - int(counts.sum())
    counts = counts.clamp(max=top - 1)
    counts = torch.cat([torch.tensor([samples - int(counts.sum())]), counts])
    labels = torch.arange(classes)[torch.randperm(classes, generator=generator)].repeat_interleave(counts)
    return labels[torch.randperm(samples, generator=generator)]


def _bits(generator: torch.Generator, samples: int, ones: int | None) -> Tensor:
    """This many ones, by default between 1 and all but one, though not half of them."""
    if ones is None:
        ones = int(torch.randint(1, samples - 1, (), generator=generator))
        ones += ones >= samples // 2
    return (torch.randperm(samples, generator=generator) < ones).double()


def smallest(outcomes: Outcomes, seconds: float, seed: int = 0) -> Minima:
    """Searches for the smallest expected loss from the truth, from indifference and from far away.

    Two losses count as equal within 1e-8 of how much the loss differs between these starts.
    """
    generator = torch.Generator().manual_seed(seed)
    truth = outcomes.truth
    starts = [truth, torch.zeros_like(truth), *(outcomes.free.random(generator, s) for s in (1.0, 3.0))]
    with torch.no_grad():
        values = torch.stack([outcomes.expected(start).to(torch.float64) for start in starts])
        dtype = outcomes.expected(truth).dtype
    spread = float((values - values[0]).abs().nan_to_num(posinf=1.0).max())
    rounding = 64 * torch.finfo(dtype).eps * (1 + abs(float(values[0])))
    found = minima(outcomes.expected, starts, seconds)
    begun = zip(
        starts, values.tolist(), strict=True
    )  # may do as well as the truth, however slow the searches are
    ends = sorted([*found.ends, *begun], key=lambda pair: pair[1])
    return Minima(ends, float(values[0]), NEGLIGIBLE * spread + rounding, found.done)


def case_of(outcomes: Outcomes, vector: Tensor) -> Case:
    """The batch with this prediction."""
    return tuple(value.detach() for value in outcomes.free.case(vector))
