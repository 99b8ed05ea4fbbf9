"""The loss of a sample is convex in its predictions.

Two searches. Hessians of single samples at predictions of very different sizes: a negative eigenvalue. And second
differences along lines at several widths, for losses with kinks, whose Hessians see nothing. Random midpoints alone
would miss most: the non-convex region of a loss is often small. Lines through 0 are among them: a loss of directions
jumps there. Of scores whose sigmoid or softmax rounds to 0 or 1, only those up to ±10 are judged, and the answer says
so; a logarithm that is bounded (eps, clamp) is constant for predictions that are wrong for sure, and not convex.
Whatever is found must show in the values themselves:
f(x + h) + f(x - h) < 2f(x) by more than rounding. Minimising a convex loss of a linear model has no local traps.
"""

import time
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed
from losscope.checks.claimed import claim_of, judge
from losscope.checks.domains import inside
from losscope.checks.samples import Samples, samples_of
from losscope.checks.saturation import judged, saturation
from losscope.checks.subject import Case, Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_SECONDS = 0.5
_SCALES = (1.0, 3.0, 0.1, 10.0, 30.0)
_STEPS = (1.0, 0.3, 3.0, 0.1, 10.0, 0.03, 0.01)
_POINTS = 33
_MODERATE = 10.0
_SATURATING = ("logits", "binary-logits", "mask-logits", "class-mask-logits")

_CONCAVE = Text(
    en="not convex: the mean of the losses at two predictions is below that midway, {value:.4g}, by {gap:.4g}",
    zh="非凸：在两个预测之间，端点平均值低于中点值，差 {gap:.4g}（中点值 {value:.4g}）",
)
_ALMOST = Text(
    en="nothing concave for scores up to ±{limit:g}; beyond, rounding makes it flat: the mean of the losses at two "
    "predictions is below that midway by {gap:.2g}",
    zh="分数在 ±{limit:g} 以内没有凹的；超出后因舍入而变平：端点平均值比中点值低 {gap:.2g}",
)
_PASS = Text(
    en="nothing concave: {hessians} Hessians (smallest eigenvalue {smallest:.2e}), {differences} second differences",
    zh="{hessians} 个 Hessian（最小特征值 {smallest:.2e}）与 {differences} 个二阶差分中没有凹的",
)

Found = tuple[Case, Tensor]


def bend(samples: Samples, case: Sequence[Tensor], step: Tensor) -> Tensor:
    """[n]: ½(f(x + h) + f(x - h)) - f(x) of every sample, plus what rounding may have done; below 0 is concave.

    +∞ where a side lies outside of the domain, or is not a number.
    """
    flat = samples.flat(case)
    if step.shape[0] != flat.shape[1]:
        return torch.full((len(flat),), torch.inf, dtype=torch.float64)
    left, right = flat - step, flat + step
    for side in (left, right):
        if not inside(samples.subject, samples.place(case, side)):
            return torch.full((len(flat),), torch.inf, dtype=torch.float64)
    middle, below, above = (samples.values_at(case, side) for side in (flat, left, right))
    rounding = samples.rounding(flat.abs() + step.abs(), torch.stack([middle, below, above]).abs().amax(0))
    gap = (below + above) / 2 - middle + rounding
    return torch.where(gap.isfinite(), gap, torch.inf)


class _Search:
    """Looks for a sample, and a step h, along which the loss is concave."""

    def __init__(self, samples: Samples, limit: float = float("inf")) -> None:
        self.samples, self.limit = samples, limit
        self.deadline = time.process_time() + _SECONDS
        self.hessians, self.differences, self.smallest = 0, 0, float("inf")

    def run(self) -> Found | None:
        for number, case in enumerate(self.samples.draws(_SCALES, 2)):
            found = None if self.beyond(case) else self.by_hessian(case)
            enough = number >= len(_SCALES)
            if found is not None or (enough and time.process_time() > self.deadline):
                break
        else:
            found = None
        self.deadline = max(self.deadline, time.process_time() + _SECONDS / 3)
        return found or next(iter(self.by_lines()), None)

    def beyond(self, case: Sequence[Tensor]) -> bool:
        """Whether predictions are larger than is looked at."""
        return any(bool((case[i].abs() > self.limit).any()) for i in self.samples.subject.predictions)

    def by_hessian(self, case: Case) -> Found | None:
        curvature = self.samples.hessians(case)
        if curvature is None:
            return None
        basis, matrices = curvature
        usable = torch.isfinite(matrices).flatten(1).all(1)
        if not bool(usable.any()):
            return None
        values, vectors = torch.linalg.eigh(torch.where(usable[:, None, None], matrices, 0.0))
        self.hessians += int(usable.sum())
        self.smallest = min(self.smallest, float(values[:, 0].min()))
        size = 1e-9 * (1e-3 + values.abs().amax(1))
        for i in (values[:, 0] + size).argsort()[:4].tolist():
            if values[i, 0] >= -size[i]:
                break
            direction = basis @ vectors[i, :, 0]
            found = self.certified(self.samples.one(case, i), direction)
            if found is not None:
                return found
        return None

    def certified(self, case: Case, direction: Tensor) -> Found | None:
        for h in _STEPS:
            sides = [self.samples.flat(case) + s * h * direction for s in (-1, 1)]
            if any(self.beyond(self.samples.place(case, side)) for side in sides):
                continue
            if bool((bend(self.samples, case, h * direction) < 0).any()):
                return case, h * direction
        return None

    def by_lines(self) -> Iterator[Found]:
        """Along lines between two drawn points, whole and in small pieces."""
        for seed in range(4):
            for scale in _SCALES:
                for width in (1.0, 0.1, 0.01):
                    if seed and time.process_time() > self.deadline:
                        return
                    case = self.samples.draw(seed, scale)
                    other = self.samples.flat(self.samples.draw(seed + 101, scale))
                    yield from self.on_line(case, width * (other - self.samples.flat(case)))
                way = self.samples.through_origin(case, seed)
                if way is not None:
                    yield from self.on_line(case, way)

    def on_line(self, case: Case, way: Tensor) -> Iterator[Found]:
        start = self.samples.flat(case)
        if any(self.beyond(self.samples.place(case, x)) for x in (start, start + way)):
            return
        spots = torch.linspace(0, 1, _POINTS, dtype=torch.float64)
        points = [start + t * way for t in spots]
        values = torch.stack([self.samples.values_at(case, point) for point in points])
        rounding = self.samples.rounding(start.abs() + way.abs(), values.abs().amax(0))
        for stride in (1, 2, 4, 8, 16):
            middle = values[stride:-stride]
            gaps = (values[: -2 * stride] + values[2 * stride :]) / 2 - middle + rounding
            self.differences += gaps.numel()
            gaps = torch.where(gaps.isfinite(), gaps, torch.inf)
            if not bool((gaps < 0).any()):
                continue
            at, i = divmod(int(gaps.argmin()), gaps.shape[1])
            here = self.samples.place(case, points[at + stride])
            found = self.samples.one(here, i), way[i] * float(spots[stride])
            if bool((bend(self.samples, *found) < 0).any()):
                yield found


def _run(subject: Subject) -> Iterator[Result]:
    samples = samples_of(subject)
    search = _Search(samples)
    found = search.run()
    figures = {
        "Hessians": float(search.hessians),
        "differences": float(search.differences),
        "smallest eigenvalue": search.smallest,
    }
    holds = passed(
        _PASS,
        figures,
        hessians=search.hessians,
        smallest=search.smallest,
        differences=search.differences,
    )
    if found is not None and (almost := _moderate(subject, samples, found)) is not None:
        yield passed(_ALMOST, figures, limit=_MODERATE, gap=almost)
        return
    yield judge(subject, "convex", None if found is None else _concave(samples, *found), holds)


def _moderate(subject: Subject, samples: Samples, found: Found) -> float | None:
    """How concave the loss is where scores round, if it is so nowhere else and no contract speaks of it."""
    if claim_of(subject, "convex") is not None:
        return None
    if not all(subject.kind(i) in _SATURATING for i in subject.predictions):
        return None
    if judged(subject) and saturation(subject) is not None:
        return None
    case, step = found
    sides = [samples.place(case, samples.flat(case) + s * step) for s in (-1, 0, 1)]
    search = _Search(samples, _MODERATE)
    if not any(search.beyond(side) for side in sides) or search.run() is not None:
        return None
    return -float(bend(samples, *found).min())


def _concave(samples: Samples, case: Case, step: Tensor) -> Result:
    case = tuple(value.detach() for value in case)
    gap = float(bend(samples, case, step).min())
    value = float(samples.values_at(case, samples.flat(case)).sum())
    return failed(
        "by-design",
        _CONCAVE(gap=-gap, value=value),
        case=case,
        fails=lambda candidate: bool((bend(samples, candidate, step) < 0).any()),
        seen=f"f(x + h) + f(x - h) - 2f(x) = {2 * gap:.4g} for h = {_short(step)}",
        expected="≥ 0",
        subject=samples.called,
        figures={"second difference": 2 * gap},
    )


def _short(step: Tensor) -> str:
    numbers = [f"{x:.4g}" for x in step[:6].tolist()]
    return "(" + ", ".join(numbers) + (", …)" if len(step) > 6 else ")")


CHECK = Check(
    name="convex", title=Text(en="convex in the predictions", zh="对预测是凸的"), run=_run, claim=True
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    """A "Huber" loss whose linear part is flatter than where it begins: concave at the kinks only."""

    def kinked(x: Tensor, t: Tensor) -> Tensor:
        d = (x - t).abs()
        return torch.where(d < 1, d, 0.5 + 0.5 * d).mean()

    return Subject(name="kinked", call=kinked, arguments=_PAIR)


def sound() -> Subject:
    """Absolute error: its kink is convex."""
    return Subject(name="l1", call=F.l1_loss, arguments=_PAIR)
