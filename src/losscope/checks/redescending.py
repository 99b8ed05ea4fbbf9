"""The gradient vanishes as the residual grows: far outliers are ignored.

Residuals from 10 to 10⁸ in both directions and in every column; the gradient must fall towards 0 as a power of the
residual or faster, at every column. Such losses are not convex, and a start far away from the targets learns nothing.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.claimed import judge
from losscope.checks.subject import Case, Subject, gradients, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_NEAR, _FAR = 1e4, 1e8
_FALL = -0.05

_STAYS = Text(
    en="the gradient does not vanish: {near:.3g} at a residual of 10⁴, {far:.3g} at 10⁸",
    zh="梯度不趋于零：残差 10⁴ 处为 {near:.3g}，10⁸ 处为 {far:.3g}",
)
_PASS = Text(
    en="the gradient falls from {near:.3g} at a residual of 10⁴ to {far:.3g} at 10⁸",
    zh="梯度从残差 10⁴ 处的 {near:.3g} 降到 10⁸ 处的 {far:.3g}",
)
_NO_RESIDUAL = Text(en="it is no function of a real residual", zh="它不是实值残差的函数")


def _with_residual(subject: Subject, case: Sequence[Tensor], size: float) -> Case:
    p, t = subject.predictions[0], subject.targets[0]
    signs = torch.where(case[p] >= case[t], 1.0, -1.0).to(torch.float64)
    return replaced(case, {p: case[t] + size * signs})


def _pull(subject: Subject, case: Sequence[Tensor], size: float) -> float:
    _, _, found = gradients(subject, _with_residual(subject, case, size))
    return math.nan if found[0] is None else float(found[0].abs().max())


def _falls(near: float, far: float) -> bool:
    if near == 0 or far == 0:
        return far == 0
    return math.log(far / near) / math.log(_FAR / _NEAR) <= _FALL


def _run(subject: Subject) -> Iterator[Result]:
    kinds = [argument.kind for argument in subject.arguments]
    fits = (
        [i for i, k in enumerate(kinds) if k == "values"] == [0]
        and kinds.count("real") == 1
        and len(kinds) == 2
    )
    if not fits or subject.case(0)[0].shape != subject.case(0)[1].shape:
        yield skipped(_NO_RESIDUAL)
        return
    counterexample, near, far = None, 0.0, 0.0
    for case in subject.cases(3):
        near, far = _pull(subject, case, _NEAR), _pull(subject, case, _FAR)
        if math.isnan(near) or math.isnan(far):
            yield skipped(_NO_RESIDUAL)
            return
        if not _falls(near, far):
            counterexample = _stays(subject, case, near, far)
            break
    figures = {"gradient at 1e4": near, "gradient at 1e8": far}
    yield judge(subject, "redescending", counterexample, passed(_PASS, figures, near=near, far=far))


def _stays(subject: Subject, case: Case, near: float, far: float) -> Result:
    return failed(
        "by-design",
        _STAYS(near=near, far=far),
        case=_with_residual(subject, case, _FAR),
        fails=lambda candidate: not _falls(_pull(subject, candidate, _NEAR), _pull(subject, candidate, _FAR)),
        seen=f"gradient {far:.3g}",
        expected="nearly 0",
        requires_grad=True,
        figures={"gradient at 1e4": near, "gradient at 1e8": far},
    )


CHECK = Check(
    name="redescending",
    title=Text(en="redescending: far outliers are ignored", zh="再下降：忽略远离的离群值"),
    run=_run,
    claim=True,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    """Huber loss: an outlier pulls with δ, however far it is."""
    return Subject(name="huber", call=F.huber_loss, arguments=_PAIR)


def sound() -> Subject:
    """Cauchy loss: the pull falls as 1/d."""
    return Subject(name="cauchy", call=lambda x, t: (1 + (x - t).square()).log().mean(), arguments=_PAIR)
