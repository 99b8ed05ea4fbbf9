"""The loss stays within the range of its contract, and the range is not larger than it need be.

Random predictions and targets of all sizes, and searches for the smallest and the largest value over the predictions
(within their domain). A value outside of the range proves the contract wrong. A finite end should be approached; where
it is not, the text says how far the search came, since some ends are reached only in the limit of large masks or many
samples. At an infinite end the values must keep growing with the predictions and targets where every element has a loss
of its own; others may grow with the numbers of samples and classes only.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.claimed import by_default
from losscope.checks.constants import NO_MEAN, averaged, perfect
from losscope.checks.domains import Free, inside, unbounded
from losscope.checks.minimise import minima, minimise
from losscope.checks.samples import NEGLIGIBLE
from losscope.checks.subject import Case, Subject, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument
from losscope.losses.spec import LossSpec

_SECONDS, _TO_THE_END = 0.03, 2.0
_NEAR = 1e-3
_WIDE = (1.0, 10.0, 1e2, 1e4)
_BOUNDS = (5.0, 15.0, 40.0)
_SETTLED = 1e-4
_NARROW = (1.0, 4.0, 12.0, 25.0, 40.0)

_OUTSIDE = Text(
    en="the value {value:.6g} lies outside of the range [{low:g}, {high:g}] of the contract",
    zh="取值 {value:.6g} 超出契约的范围 [{low:g}, {high:g}]",
)
_SATURATED = Text(
    en="the contract's range ends at {end:g}, but the values stop growing at {value:.6g}",
    zh="契约的范围止于 {end:g}，但取值停在 {value:.6g} 不再增长",
)
_PASS = Text(
    en="values from {lowest:.6g} to {highest:.6g} were found, within [{low:g}, {high:g}]",
    zh="找到的取值从 {lowest:.6g} 到 {highest:.6g}，在 [{low:g}, {high:g}] 之内",
)
_FAR = Text(
    en="all values lie within [{low:g}, {high:g}], which was approached to {lowest:.6g} and {highest:.6g} only",
    zh="所有取值都在 [{low:g}, {high:g}] 之内，但只接近到 {lowest:.6g} 与 {highest:.6g}",
)
_UNFIT = Text(en="the range is that of the mean: {why}", zh="范围针对平均值：{why}")


class _Extremes:
    """The smallest and the largest value seen, and the largest at each step of a ladder of sizes."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.ends: list[tuple[float, Case | None]] = [(math.inf, None), (-math.inf, None)]
        self.ladders: tuple[list[float], list[float]] = ([], [])

    def take(self, case: Case) -> float:
        with torch.no_grad():
            value = float(self.subject.value(case))
        if math.isnan(value) or not inside(self.subject, case):
            return math.nan
        if value < self.ends[0][0]:
            self.ends[0] = value, case
        if value > self.ends[1][0]:
            self.ends[1] = value, case
        return value

    def climb(self, scales: Sequence[float], size: dict[str, int]) -> None:
        """Random predictions and targets of growing size, and the ends of searches stretched to that size."""
        directions = self._searched(size)
        for scale in scales:
            values = [self.take(self._random(seed, scale, size)) for seed in range(8)]
            for free, vector in directions:
                stretched = vector * (scale / max(1.0, float(vector.abs().max())))
                values.append(self.take(_detached(free.case(stretched))))
            known = [v for v in values if not math.isnan(v)]
            if known:
                self.ladders[0].append(-min(known))
                self.ladders[1].append(max(known))

    def saturated(self, side: int) -> bool:
        """Whether the extreme value has stopped to grow: over the last steps of the ladder, and of searches as far."""
        ladder, case = self.ladders[side], self.ends[side][1]
        if case is None or len(ladder) < 4 or not all(math.isfinite(v) for v in ladder):
            return False
        if ladder[-1] - max(ladder[:-1]) > _SETTLED * (1 + abs(ladder[-1])):
            return False
        free, sign = Free(self.subject, case), (1.0, -1.0)[side]
        vector, values = free.vector(), []
        for bound in _BOUNDS:
            vector, value, done = minimise(
                lambda z: sign * free.value(z), vector, bound=bound, seconds=_TO_THE_END
            )
            if not done:
                return False
            values.append(value)
            self.take(_detached(free.case(vector)))
        return values[-2] - values[-1] <= _SETTLED * (1 + abs(values[-1]))

    def _random(self, seed: int, scale: float, size: dict[str, int]) -> Case:
        case = self.subject.case(seed, min(scale, 3.0), **size)
        free = Free(self.subject, case)
        case = _detached(free.case(free.random(torch.Generator().manual_seed(seed), scale)))
        changes = {}
        for i, value in enumerate(case):
            if (
                i not in self.subject.predictions
                and unbounded(self.subject.kind(i))
                and value.is_floating_point()
            ):
                changes[i] = value * max(1.0, scale / 3)
        return replaced(case, changes)

    def _searched(self, size: dict[str, int]) -> list[tuple[Free, Tensor]]:
        """Where the value is smallest and largest over the predictions, for several targets."""
        found = []
        for seed in range(3):
            free = Free(self.subject, self.subject.case(seed, 1.0 if seed < 2 else 3.0, **size))
            generator = torch.Generator().manual_seed(seed)
            aimed = perfect(free)
            self.take(_detached(free.case(aimed)))
            found.append((free, aimed))
            for sign in (1.0, -1.0):
                starts = [free.random(generator), free.random(generator, 4.0)]
                signed = lambda z, s=sign, f=free: s * f.value(z)  # noqa: E731
                vector, _ = minima(signed, starts, _SECONDS, polished=0, steps=60, bound=30.0).ends[0]
                self.take(_detached(free.case(vector)))
                found.append((free, vector))
        return found


def _detached(case: Case) -> Case:
    return tuple(value.detach() for value in case)


def _run(subject: Subject) -> Iterator[Result]:
    spec, mean = subject.spec, averaged(subject)
    if spec is None or mean is None or not mean.predictions:
        yield skipped(_UNFIT, why=NO_MEAN if mean is None else "it takes no prediction")
        return
    low, high = spec.range
    found, size = _Extremes(mean), {} if spec.batch_coupled else {"N": 2}
    narrow = any(not unbounded(mean.kind(i)) for i in mean.predictions)
    scales = _NARROW if narrow else _WIDE
    found.climb(scales, size)
    lowest, highest = found.ends[0][0], found.ends[1][0]
    figures = {"lowest": lowest, "highest": highest}
    for side, (value, case) in enumerate(found.ends):
        if case is not None and _outside(mean, case, value, (low, high)):
            yield _violation(mean, case, value, (low, high), figures)
            return
        end = spec.range[side]
        if (
            math.isinf(end)
            and not subject.by_value
            and by_default(mean)
            and _elementwise(mean)
            and _lax(found, side, scales, size)
        ):
            yield failed(
                "bug", _SATURATED(end=end, value=value), case=case, seen=f"{value:.6g}", figures=figures
            )
            return
    ends = ((low, lowest), (high, highest))
    far = any(math.isfinite(end) and abs(end - value) > _NEAR * (1 + abs(end)) for end, value in ends)
    yield passed(_FAR if far else _PASS, figures, low=low, high=high, lowest=lowest, highest=highest)


def _outside(subject: Subject, case: Sequence[Tensor], value: float, ends: tuple[float, float]) -> bool:
    """Whether a value lies outside by more than rounding."""
    reach = max((float(v.abs().max()) for v in case if v.is_floating_point() and v.numel()), default=0.0)
    eps = torch.finfo(subject(*case).dtype).eps
    slack = 64 * eps * (1 + reach + (abs(value) if math.isfinite(value) else 0.0)) + NEGLIGIBLE
    return value < ends[0] - slack or value > ends[1] + slack


def _lax(found: _Extremes, side: int, scales: Sequence[float], size: dict[str, int]) -> bool:
    """Whether an infinite end is out of reach, with the default options and with those of the variants."""
    spec = found.subject.spec
    if spec is None or not found.saturated(side):
        return False
    for options in spec.variants:
        other = None if "reduction" in options else found.subject.with_options(**options)
        if other is not None:
            there = _Extremes(other)
            there.climb(scales, size)
            if not there.saturated(side):
                return False
    return True


def _elementwise(subject: Subject) -> bool:
    """Whether every element of the prediction has a loss of its own, so that larger sizes change nothing."""
    unreduced = subject.with_options(reduction="none")
    if unreduced is None:
        return False
    case = subject.case(0)
    return (
        unreduced(*case).shape == case[subject.predictions[0]].shape
        and case[subject.predictions[0]].dim() > 0
    )


def _violation(
    subject: Subject, case: Case, value: float, ends: tuple[float, float], figures: dict[str, float]
) -> Result:
    def fails(candidate: Sequence[Tensor]) -> bool:
        with torch.no_grad():
            here = float(subject.value(candidate))
        return inside(subject, candidate) and _outside(subject, candidate, here, ends)

    return failed(
        "bug",
        _OUTSIDE(value=value, low=ends[0], high=ends[1]),
        case=case,
        fails=fails,
        seen=f"{value:.6g}",
        expected=f"between {ends[0]:g} and {ends[1]:g}",
        subject=subject,
        figures=figures,
    )


CHECK = Check(
    name="range",
    title=Text(en="values stay within the range of the contract", zh="取值在契约的范围之内"),
    run=_run,
    needs_contract=True,
)


def planted(low: float, high: float) -> Subject:
    """A cosine distance with this range in its contract."""
    arguments = (Argument("input", "embeddings"), Argument("target", "embeddings", as_role="target"))

    def distance(input: Tensor, target: Tensor) -> Tensor:
        return (1 - F.cosine_similarity(input, target)).mean()

    spec = LossSpec(
        name="planted",
        family="ranking",
        task="embedding",
        formula="",
        input_space="embeddings",
        range=(low, high),
        function=distance,
        arguments=arguments,
    )
    return Subject(name="planted", call=distance, arguments=arguments, spec=spec)


def broken() -> Subject:
    """A cosine distance is thought to end at 1; it ends at 2."""
    return planted(0.0, 1.0)


def sound() -> Subject:
    return planted(0.0, 2.0)
