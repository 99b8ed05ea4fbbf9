"""The loss of a sample changes by at most L times the change of its predictions.

L is the largest 2-norm of the gradient of one unreduced loss by all its predictions; it bounds what one outlier can do
to a step. Searched at predictions of every size and by climbing; jumps of the value along short lines count too. A
claimed constant must not be exceeded, and not be lax: the search must come within a fifth of it.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.claimed import claim_of, judge_constant
from losscope.checks.samples import Samples, samples_of
from losscope.checks.subject import Case, Subject
from losscope.checks.suprema import Chords, Supremum, chords_of, supremum
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_SECONDS = 0.3
_ROUNDING = 1e-9
_JUMPS = 20.0

_STEEP = Text(
    en="the gradient of one sample has norm {found:.6g}, more than the claimed {claimed:.6g}",
    zh="单个样本的梯度范数为 {found:.6g}，超过所声称的 {claimed:.6g}",
)
_UNBOUNDED = Text(
    en="not Lipschitz: the gradient keeps growing with the prediction (norms {norms})",
    zh="非 Lipschitz：梯度随预测不断增大（范数 {norms}）",
)
_JUMP = Text(
    en="not Lipschitz: the value jumps, with a slope of {found:.3g} between two near predictions",
    zh="非 Lipschitz：损失值有跳变，两个相近预测之间的斜率为 {found:.3g}",
)
_PASS = Text(en="no gradient of a sample is longer than {found:.6g}", zh="没有样本的梯度范数超过 {found:.6g}")
_NO_GRADIENT = Text(en="no gradient reaches the predictions", zh="没有梯度传到预测")


def _norms(samples: Samples, case: Sequence[Tensor]) -> Tensor | None:
    found = samples.gradient_norms(case)
    return None if found is None else found.amax(1)


def value_quotient(samples: Samples, case: Case, ends: tuple[Tensor, Tensor]) -> Tensor:
    """[n]: |f(b) - f(a)| / ‖b - a‖ of an unreduced loss, less what rounding may add."""
    with torch.no_grad():
        a, b = (samples.units(samples.place(case, end)).to(torch.float64) for end in ends)
    noise = samples.rounding(ends[0].abs() + ends[1].abs(), torch.maximum(a.abs(), b.abs()).amax(1))
    return ((b - a).abs().amax(1) - noise).clamp_min(0) / (ends[1] - ends[0]).norm(dim=1)


def _run(subject: Subject) -> Iterator[Result]:
    samples = samples_of(subject)
    found = supremum(samples, lambda case: _norms(samples, case), _SECONDS)
    if not found.case:
        yield skipped(_NO_GRADIENT)
        return
    chords = chords_of(samples, value_quotient, _SECONDS / 4)
    claim = claim_of(subject, "lipschitz")
    claimed = claim.value if claim is not None and claim.holds else None
    counterexample = _counterexample(samples, found, chords, claimed)
    figures = {"largest gradient norm": found.value}
    holds = passed(_PASS, figures, found=found.value)
    yield judge_constant(subject, "lipschitz", found.value, counterexample, holds, lax=found.finished)


def _counterexample(
    samples: Samples, found: Supremum, chords: Chords, claimed: float | None
) -> Result | None:
    if claimed is not None and found.value > claimed * (1 + _ROUNDING):
        limit = claimed * (1 + _ROUNDING)
        text, seen, expected = (
            _STEEP(found=found.value, claimed=claimed),
            f"{found.value:.6g}",
            f"≤ {claimed:.6g}",
        )
    elif (ladder := found.growing) is not None:
        limit = 2 * ladder[0]
        norms = ", ".join(f"{v:.3g}" for v in ladder)
        text, seen, expected = _UNBOUNDED(norms=norms), f"norm {found.value:.4g}", "a bounded gradient"
    elif chords.value > _JUMPS * max(found.value, claimed or 0.0, 1e-6):
        return _jump(samples, chords)
    else:
        return None

    def fails(candidate: Sequence[Tensor]) -> bool:
        norms = _norms(samples, candidate)
        return norms is not None and bool((norms[norms.isfinite()] > limit).any())

    return failed(
        "by-design",
        text,
        case=found.case,
        fails=fails,
        seen=seen,
        expected=expected,
        requires_grad=True,
        subject=samples.called,
        figures={"largest gradient norm": found.value},
    )


def _jump(samples: Samples, chords: Chords) -> Result:
    step, limit = chords.step, chords.value / 2

    def fails(candidate: Sequence[Tensor]) -> bool:
        start = samples.flat(candidate)
        fits = start.shape[1] == len(step)
        return fits and bool((value_quotient(samples, tuple(candidate), (start, start + step)) > limit).any())

    return failed(
        "by-design",
        _JUMP(found=chords.value),
        case=chords.case,
        fails=fails,
        seen=f"slope {chords.value:.3g} over a distance of {float(step.norm()):.2g}",
        expected="a bounded slope",
        subject=samples.called,
    )


CHECK = Check(
    name="lipschitz",
    title=Text(en="Lipschitz: bounded gradient per sample", zh="Lipschitz：每个样本的梯度有界"),
    run=_run,
    claim=True,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    """Squared error: one outlier can pull without bound."""
    return Subject(name="mse", call=F.mse_loss, arguments=_PAIR)


def sound() -> Subject:
    """Huber loss: every pull is at most δ."""
    return Subject(name="huber", call=F.huber_loss, arguments=_PAIR)
