"""The minimiser of the expected loss is what the contract says that the loss elicits.

Random targets with a skewed empirical distribution, the same prediction for all of them, and the numeric minimiser of
their mean loss against the functional: mean, median, quantile, expectile, variance, probability, mode. Where the
functional costs more than another prediction, or another one costs no more, the contract is wrong. A quantile and an
expectile are tested at several levels, since at ½ every mistake in the level is hidden.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks import calibration
from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.claimed import by_default, default_of
from losscope.checks.domains import Free, from_domain
from losscope.checks.minimise import minima
from losscope.checks.outcomes import constant, draw_outcomes, smallest, why_not
from losscope.checks.propriety import SECONDS, refutation
from losscope.checks.samples import NEGLIGIBLE
from losscope.checks.strict_propriety import AS_GOOD, as_good
from losscope.checks.subject import Case, Subject, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument
from losscope.losses.spec import LossSpec

_SAMPLES = 15
_DISTRIBUTIONS = 3
_MODES = 6
_STATIONARY = 1e-6
_LEVELS = (0.8, 0.3)
_CLOSE = 0.02
_OPTIONS = {
    "quantile": ("quantile", "q", "tau", "level", "alpha"),
    "expectile": ("expectile", "tau", "level", "alpha"),
}

_OTHER = Text(
    en="it does not elicit the {name}: {found:.5g} costs {value:.6g}, the {name} {functional:.5g} costs {at:.6g}",
    zh="它引出的不是 {name}：{found:.5g} 的期望损失为 {value:.6g}，而 {name} {functional:.5g} 为 {at:.6g}",
)
_PASS = Text(
    en="for {count} random distributions the minimiser is the {name}",
    zh="对 {count} 个随机分布，最小点是 {name}",
)
_MOVING = Text(
    en="it does not elicit the {name}: the mean gradient there is not zero",
    zh="它引出的不是 {name}：该处平均梯度不为零",
)
_FREE_TEXT = Text(en="what it elicits is told in words only: {words}", zh="引出的量仅以文字说明：{words}")
_OPTION = Text(
    en="what it elicits is said of the default options, not of these", zh="引出的量针对默认选项，而非当前选项"
)
_NOTHING = Text(en="the contract does not say what it elicits", zh="契约未说明它引出什么")
_UNFIT = Text(en="the {name} cannot be compared: {why}", zh="无法比较 {name}：{why}")

Functional = Callable[[Tensor, float], Tensor]
"""Of targets [M, …] and a level, one row."""


def expectile(targets: Tensor, level: float) -> Tensor:
    """The root e of Σ |τ - 1(y < e)| (y - e), by fixed-point iteration, which ends after finitely many steps."""
    e = targets.mean(0, keepdim=True)
    for _ in range(100):
        weight = level + (1 - 2 * level) * (targets < e).to(targets.dtype)
        e = (weight * targets).sum(0, keepdim=True) / weight.sum(0, keepdim=True)
    return e


def quantile(targets: Tensor, level: float) -> Tensor:
    """The smallest y with at least a share ``level`` of the targets at or below it."""
    index = min(len(targets) - 1, int(level * len(targets)))
    return targets.sort(0).values[index : index + 1]


def _mean(targets: Tensor, _: float) -> Tensor:
    return targets.mean(0, keepdim=True)


def _median(targets: Tensor, _: float) -> Tensor:
    return quantile(targets, 0.5)


def _variance(targets: Tensor, _: float) -> Tensor:
    return targets.var(0, correction=0, keepdim=True)


def _deviation(targets: Tensor, _: float) -> Tensor:
    return (targets - quantile(targets, 0.5)).abs().mean(0, keepdim=True)


FUNCTIONALS: dict[str, tuple[Functional, ...]] = {
    "mean": (_mean,),
    "median": (_median,),
    "quantile": (quantile,),
    "expectile": (expectile,),
    "logarithm of the mean": (lambda y, _: _mean(y, 0).log(),),
    "shifted geometric mean exp(E ln(1 + Y)) - 1": (lambda y, _: y.log1p().mean(0, keepdim=True).expm1(),),
    "mean and variance": (_mean, _variance),
    "median and mean absolute deviation": (_median, _deviation),
}
"""By the words of a contract; one functional for each prediction that it speaks of."""


@dataclass(frozen=True, slots=True)
class _Targets:
    """One prediction for all samples of ``case``, whose minimiser should be the functionals."""

    subject: Subject
    case: Case
    name: str
    level: float

    @property
    def free(self) -> Free:
        return Free(self.subject, self.case, frozenset({"N"}))

    def functional(self) -> Tensor:
        """The part of the free vector that the functionals fix: the first predictions."""
        targets = self.case[self.subject.targets[0]].to(torch.float64)
        pieces = []
        for position, f in zip(self.subject.predictions, FUNCTIONALS[self.name], strict=False):
            kind, row = self.subject.kind(position), f(targets, self.level)
            if kind == "log-scale" and f in (_variance, _deviation):
                row = row.log()
            pieces.append(from_domain(kind, row).reshape(-1))
        return torch.cat(pieces)

    def at_functional(self) -> Case:
        return tuple(value.detach() for value in self.free.case(self.functional()))

    def stationary(self) -> bool:
        """Whether the gradient vanishes at the functional, for losses whose gradient is not that of their value."""
        fixed, free = self.functional(), self.free
        slopes = []
        for vector in (fixed, fixed + free.random(torch.Generator().manual_seed(0), 0.3)):
            leaf = vector.clone().requires_grad_()
            (slope,) = torch.autograd.grad(free.value(leaf), leaf)
            slopes.append(float(slope.norm()))
        return slopes[0] <= _STATIONARY * slopes[1]

    def compare(self, seconds: float, seed: int = 0) -> "_Outcome":
        """The best predictions with the functionals fixed, and without."""
        free, fixed = self.free, self.functional()
        generator = torch.Generator().manual_seed(seed)
        rest = free.size - len(fixed)
        if rest:
            inner = minima(lambda z: free.value(torch.cat([fixed, z])), [torch.zeros(rest).double()], seconds)
            (z, at), *_ = inner.ends
            there = torch.cat([fixed, z])
        else:
            there = fixed
            with torch.no_grad():
                at = float(free.value(there))
        starts = [
            there,
            there + free.random(generator, 0.3),
            torch.zeros_like(there),
            free.random(generator, 2.0),
        ]
        with torch.no_grad():
            spread = max(abs(float(free.value(start)) - at) for start in starts)
            rounding = 64 * torch.finfo(free.value(there).dtype).eps * (1 + abs(at))
        ends = minima(free.value, starts, seconds, bound=1e4)
        slack = NEGLIGIBLE * spread + rounding
        for vector, value in ends.ends:
            far = float((vector[: len(fixed)] - fixed).abs().max()) > _CLOSE
            if value < at - slack or (far and value <= at + slack):
                return _Outcome(vector, value, fixed, at, slack)
        return _Outcome(None, at, fixed, at, slack)


@dataclass(frozen=True, slots=True)
class _Outcome:
    refuting: Tensor | None
    value: float
    functional: Tensor
    at: float
    slack: float


def _run(subject: Subject) -> Iterator[Result]:
    spec = subject.spec
    name = spec.elicits.strip() if spec is not None else ""
    if not name:
        yield skipped(_NOTHING)
    elif not by_default(subject) and name not in _OPTIONS:
        yield skipped(_OPTION)
    elif name in ("probability", "mode"):
        yield from _of_classes(subject, name)
    elif name in FUNCTIONALS:
        yield from _of_numbers(subject, name)
    else:
        yield skipped(_FREE_TEXT, words=name)


def _of_classes(subject: Subject, name: str) -> Iterator[Result]:
    why = why_not(subject, margins=name == "mode")
    if why:
        yield skipped(_UNFIT, name=name, why=why)
        return
    count = _MODES if name == "mode" else _DISTRIBUTIONS
    for seed in range(count):
        outcomes = draw_outcomes(subject, seed)
        found = smallest(outcomes, SECONDS, seed)
        refuted: Result | None = None
        if name == "mode":
            refuted = calibration.counterexample(outcomes, found)
        elif (vector := as_good(outcomes, found)) is not None:
            refuted = refutation(outcomes, found, vector, AS_GOOD)
        if refuted is not None:
            yield failed(
                "bug",
                refuted.text,
                case=refuted.case,
                fails=refuted.fails,
                seen=refuted.seen,
                expected=refuted.expected,
                figures=refuted.figures,
            )
            return
    yield passed(_PASS, {}, count=count, name=name)


def _of_numbers(subject: Subject, name: str) -> Iterator[Result]:
    why = _why_not(subject, name)
    if why:
        yield skipped(_UNFIT, name=name, why=why)
        return
    count, detached = 0, subject.spec is not None and subject.spec.gradient_kind != "exact"
    for leveled, level in _levels(subject, name):
        for seed in range(_DISTRIBUTIONS):
            drawn = _draw(leveled, name, level, seed)
            count += 1
            if detached:
                if drawn.stationary():
                    continue
                yield failed(
                    "bug", _MOVING(name=name), case=drawn.at_functional(), seen="a gradient", expected="none"
                )
                return
            outcome = drawn.compare(SECONDS, seed)
            if outcome.refuting is not None:
                yield _refuted(drawn, outcome, outcome.refuting)
                return
    yield passed(_PASS, {}, count=count, name=name)


def _why_not(subject: Subject, name: str) -> str:
    if len(subject.targets) != 1 or len(subject.predictions) < len(FUNCTIONALS[name]):
        return "it takes other arguments"
    if any(a.role == "fixed" and a.kind != "weights" for a in subject.arguments):
        return "it takes fixed arguments"
    case = subject.case(0)
    target = case[subject.targets[0]]
    same = case[subject.predictions[0]].shape == target.shape
    return "" if same and target.dtype.is_floating_point else "prediction and target differ in shape"


def _levels(subject: Subject, name: str) -> Iterator[tuple[Subject, float]]:
    """The loss at its own level, and at others where it takes one."""
    option = next((o for o in _OPTIONS.get(name, ()) if _number(subject, o) is not None), None)
    if option is None:
        yield subject, 0.5
        return
    yield subject, _number(subject, option) or 0.5
    for level in _LEVELS:
        other = subject.with_options(**{option: level})
        if other is not None:
            yield other, level


def _number(subject: Subject, option: str) -> float | None:
    value = subject.options.get(option, default_of(subject, option))
    return float(value) if isinstance(value, int | float) and 0 < value < 1 else None


def _draw(subject: Subject, name: str, level: float, seed: int) -> _Targets:
    """Skewed targets, in a number that makes quantiles unique."""
    samples = next(m for m in range(_SAMPLES, 2 * _SAMPLES) if 0.1 < (level * m) % 1 < 0.9)
    case = subject.case(200 + seed, N=samples)
    t = subject.targets[0]
    changes = {i: torch.ones_like(case[i]) for i, a in enumerate(subject.arguments) if a.role == "fixed"}
    if subject.kind(t) == "real":
        changes[t] = case[t] + 0.5 * case[t].square()
    return _Targets(subject, replaced(case, changes), name, level)


def _refuted(drawn: _Targets, outcome: _Outcome, vector: Tensor) -> Result:
    subject, name, level = drawn.subject, drawn.name, drawn.level
    worst = int((vector[: len(outcome.functional)] - outcome.functional).abs().argmax())

    def fails(candidate: Sequence[Tensor]) -> bool:
        if not constant(subject, candidate):
            return False
        here = _Targets(subject, tuple(candidate), name, level)
        z, fixed = here.free.vector(), here.functional()
        if float((z[: len(fixed)] - fixed).abs().max()) <= _CLOSE:
            return False
        with torch.no_grad():
            given = float(here.free.value(z))
            at = float(here.free.value(torch.cat([fixed, z[len(fixed) :]])))
        return given < at - 1e-6 * (1 + abs(at))

    values = {"found": float(vector[worst]), "functional": float(outcome.functional[worst])}
    return failed(
        "bug",
        _OTHER(name=name, value=outcome.value, at=outcome.at, **values),
        case=tuple(v.detach() for v in drawn.free.case(vector)),
        fails=fails,
        seen=f"{outcome.value:.6g} at {values['found']:.5g}",
        expected=f"at least {outcome.at:.6g}, the loss at the {name} {values['functional']:.5g}",
        subject=subject,
        figures=values,
    )


CHECK = Check(
    name="elicits",
    title=Text(en="elicits what the contract says", zh="引出契约所述的量"),
    run=_run,
    needs_contract=True,
)


def _pinball(x: Tensor, t: Tensor, *, quantile: float = 0.9, swapped: bool = False) -> Tensor:
    d = x - t if swapped else t - x
    return torch.maximum(quantile * d, (quantile - 1) * d).mean()


def _planted(name: str, call: Callable[..., Tensor], elicits: str) -> Subject:
    arguments = (Argument("input", "values"), Argument("target", "real"))
    spec = LossSpec(
        name=name,
        family="regression",
        task="regression",
        formula="",
        input_space="values",
        range=(0.0, float("inf")),
        function=call,
        arguments=arguments,
        elicits=elicits,
    )
    return Subject(name=name, call=call, arguments=arguments, spec=spec)


def broken() -> Subject:
    """A quantile loss with prediction and target exchanged: it elicits the 0.1-quantile instead of the 0.9."""

    def swapped(x: Tensor, t: Tensor, *, quantile: float = 0.9) -> Tensor:
        return _pinball(x, t, quantile=quantile, swapped=True)

    return _planted("swapped", swapped, "quantile")


def sound() -> Subject:
    return _planted("mse", F.mse_loss, "mean")
