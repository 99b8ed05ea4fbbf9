"""The gradient of a sample's loss changes by at most λ times the change of its predictions.

λ is the largest eigenvalue (in size) of the Hessian of one sample's loss in its predictions, and of the quotients
‖∇f(y) - ∇f(x)‖ / ‖y - x‖ on short lines, which see the kinks that a Hessian does not: at a kink the quotient doubles
whenever the line is halved, at a sharp bend it settles. A value that jumps is not smooth either, even if the gradient
does not show it (a part that is detached, branches that do not meet). Gradient descent on a linear
model with inputs x is stable below a step of 2 / (λ‖x‖²). A claimed λ must not be exceeded, and not be lax.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.claimed import claim_of, judge_constant
from losscope.checks.lipschitz import value_quotient
from losscope.checks.samples import NEGLIGIBLE, Samples, samples_of
from losscope.checks.subject import Case, Subject
from losscope.checks.suprema import Chords, Supremum, chords_of, supremum
from losscope.core.text import Message, Text
from losscope.losses.arguments import Argument

_SECONDS = 0.3
_ROUNDING = 1e-6
_KINK = 20.0

_CURVED = Text(
    en="the gradient changes by {found:.6g} times the change of the prediction, more than the claimed {claimed:.6g}",
    zh="梯度变化是预测变化的 {found:.6g} 倍，超过所声称的 {claimed:.6g}",
)
_UNBOUNDED = Text(
    en="not smooth: the curvature keeps growing with the prediction (largest eigenvalues {sizes})",
    zh="不光滑：曲率随预测不断增大（最大特征值 {sizes}）",
)
_KINKED = Text(
    en="not smooth: the gradient jumps; between near predictions it changes by {found:.3g} times their distance",
    zh="不光滑：梯度有跳变；相近预测之间梯度变化是距离的 {found:.3g} 倍",
)
_JUMPS = Text(
    en="not smooth: the value itself jumps, by {found:.3g} times the distance of two near predictions",
    zh="不光滑：损失值本身有跳变，变化为两个相近预测之间距离的 {found:.3g} 倍",
)
_PASS = Text(en="no curvature of a sample exceeds {found:.6g}", zh="没有样本的曲率超过 {found:.6g}")
_NO_GRADIENT = Text(en="no gradient reaches the predictions", zh="没有梯度传到预测")


def _largest(samples: Samples, case: Sequence[Tensor]) -> Tensor | None:
    found = samples.hessians(case)
    if found is None:
        return None
    finite = torch.isfinite(found[1]).flatten(1).all(1)
    values = torch.linalg.eigvalsh(torch.where(finite[:, None, None], found[1], 0.0))
    return torch.where(finite, values.abs().amax(1), torch.nan)


def _quotient(samples: Samples, case: Case, ends: tuple[Tensor, Tensor]) -> Tensor | None:
    """[n]: ‖∇f(b) - ∇f(a)‖ / ‖b - a‖, less what rounding may add."""
    slopes = [samples.gradient(samples.place(case, end)) for end in ends]
    if slopes[0] is None or slopes[1] is None:
        return None
    noise = NEGLIGIBLE * (1 + slopes[0].abs().amax(1))
    change = (slopes[1] - slopes[0]).norm(dim=1) - noise
    return change.clamp_min(0).to(torch.float64) / (ends[1] - ends[0]).norm(dim=1)


def _run(subject: Subject) -> Iterator[Result]:
    samples = samples_of(subject)
    if samples.gradient(samples.draw(0)) is None:
        yield skipped(_NO_GRADIENT)
        return
    found = supremum(samples, lambda case: _largest(samples, case), _SECONDS)
    chords = chords_of(samples, _quotient, _SECONDS / 2)
    values = chords_of(samples, value_quotient, _SECONDS / 4)
    claim = claim_of(subject, "smooth")
    claimed = claim.value if claim is not None and claim.holds else None
    jump = _value_jump(samples, values)
    kinked = chords.value > 1e-3 and not chords.settles() if claimed is None else None
    largest = found.value if kinked else max(found.value, chords.value)
    counterexample = jump or _counterexample(samples, found, chords, (claimed, kinked))
    holds = passed(_PASS, {"largest curvature": largest}, found=largest)
    yield judge_constant(subject, "smooth", largest, counterexample, holds, lax=found.finished)


def _counterexample(
    samples: Samples, found: Supremum, chords: Chords, told: tuple[float | None, bool | None]
) -> Result | None:
    """A kink, too much curvature, or one that grows without end.

    ``told``: what is claimed, else whether it is kinked.
    """
    claimed, kinked = told
    limit = claimed * (1 + _ROUNDING) if claimed is not None else chords.value / 2
    if chords.value > limit and kinked is not False:
        text = _KINKED(found=chords.value)
        if claimed is not None and chords.value < _KINK * claimed:
            text = _CURVED(found=chords.value, claimed=claimed)
        return _of_chord(samples, chords, text, limit)
    if claimed is not None and found.value > limit:
        text = _CURVED(found=found.value, claimed=claimed)
    elif (ladder := found.growing) is not None:
        limit = 2 * ladder[0]
        text = _UNBOUNDED(sizes=", ".join(f"{v:.3g}" for v in ladder))
    else:
        return None

    def fails(candidate: Sequence[Tensor]) -> bool:
        sizes = _largest(samples, candidate)
        return sizes is not None and bool((sizes > limit).any())

    return failed(
        "by-design",
        text,
        case=found.case,
        fails=fails,
        seen=f"largest eigenvalue {found.value:.6g}",
        expected=f"≤ {claimed:.6g}" if claimed is not None else "bounded",
        requires_grad=True,
        subject=samples.called,
        figures={"largest curvature": found.value},
    )


def _value_jump(samples: Samples, chords: Chords) -> Result | None:
    """A change of the value that no slope at its ends explains, and that does not shrink with the distance."""
    if not chords.case:
        return None
    start = samples.flat(chords.case)
    slopes = [samples.gradient(samples.place(chords.case, x)) for x in (start, start + chords.step)]
    steepest = max((float(s.norm(dim=1).max()) for s in slopes if s is not None), default=0.0)
    if chords.value <= _KINK * max(steepest, 1e-6) or not math.isfinite(steepest) or chords.settles():
        return None
    return _of_chord(samples, chords, _JUMPS(found=chords.value), chords.value / 2)


def _of_chord(samples: Samples, chords: Chords, text: Message, limit: float) -> Result:
    step = chords.step
    what = "|f(x + h) - f(x)|" if chords.quotient is value_quotient else "‖∇f(x + h) - ∇f(x)‖"

    def fails(candidate: Sequence[Tensor]) -> bool:
        start = samples.flat(candidate)
        if start.shape[1] != len(step):
            return False
        found = chords.quotient(samples, tuple(candidate), (start, start + step))
        return found is not None and bool((found > limit).any())

    return failed(
        "by-design",
        text,
        case=chords.case,
        fails=fails,
        seen=f"{what} / ‖h‖ = {chords.value:.4g} for ‖h‖ = {float(step.norm()):.2g}",
        expected=f"≤ {limit:.4g}",
        requires_grad=True,
        subject=samples.called,
        figures={"largest curvature": chords.value},
    )


CHECK = Check(
    name="smooth",
    title=Text(en="smooth: bounded curvature per sample", zh="光滑：每个样本的曲率有界"),
    run=_run,
    claim=True,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    """Absolute error: its gradient jumps at 0, and no Hessian shows it."""
    return Subject(name="l1", call=F.l1_loss, arguments=_PAIR)


def sound() -> Subject:
    """Huber loss: its second derivative jumps, its gradient does not."""
    return Subject(name="huber", call=F.huber_loss, arguments=_PAIR)
