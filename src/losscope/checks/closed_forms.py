"""The closed forms of the contract, gradient and logit Hessian, are the derivatives of the loss.

Both against autograd of the unreduced loss in float64, at predictions of several sizes, to 1e-12 of the largest entry
of a sample (of 1, where all are small: what saturated probabilities leave is rounding).
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.domains import unbounded
from losscope.checks.samples import Samples, samples_of
from losscope.checks.subject import Case, Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument
from losscope.losses.spec import LossSpec, Options

_RELATIVE = 1e-12
_SCALES = (1.0, 0.1, 3.0, 10.0)
_MODEST = (1.0, 2.0)  # probabilities at the edge of their domain are clamped by libraries

_WRONG = Text(
    en="the closed form of the {what} differs from autograd: {closed:.9g} against {autograd:.9g}",
    zh="{what} 的闭式与 autograd 不同：{closed:.9g} 对 {autograd:.9g}",
)
_SHAPE = Text(
    en="the closed form of the {what} has the shape {closed}, autograd gives {autograd}",
    zh="{what} 的闭式形状为 {closed}，autograd 给出 {autograd}",
)
_PASS = Text(
    en="{what} agree with autograd (largest difference {worst:.1e})",
    zh="{what} 与 autograd 一致（最大差异 {worst:.1e}）",
)
_NONE = Text(en="the contract has no closed forms", zh="契约没有闭式")
_UNFIT = Text(en="the loss cannot be had unreduced", zh="无法得到未归约的损失")


def _run(subject: Subject) -> Iterator[Result]:
    spec = subject.spec
    if spec is None or (spec.gradient is None and spec.logit_hessian is None):
        yield skipped(_NONE)
        return
    samples = samples_of(subject)
    if samples.unreduced is None:
        yield skipped(_UNFIT)
        return
    worst, names = 0.0, []
    prediction = subject.predictions[0]
    target = (*subject.targets, *subject.predictions[1:], prediction)[0]
    scales = _SCALES if all(unbounded(subject.kind(i)) for i in subject.predictions) else _MODEST
    for what, form, order in (("gradient", spec.gradient, 1), ("logit Hessian", spec.logit_hessian, 2)):
        if form is None:
            continue
        names.append(what)
        for case in samples.draws(scales, 2):
            closed = form(case[prediction], case[target], subject.options).to(torch.float64)
            result = _compare(samples, case, what, closed, order)
            if isinstance(result, Result):
                yield result
                return
            worst = max(worst, result)
    yield passed(_PASS, {"largest difference": worst}, what=" and ".join(names), worst=worst)


def _compare(samples: Samples, case: Case, what: str, closed: Tensor, order: int) -> Result | float:
    """The largest difference of a closed form from autograd, relative to the sample's largest entry."""
    found = autograd_of(samples, case, order)
    if closed.shape != found.shape:
        return failed(
            "bug", _SHAPE(what=what, closed=str(tuple(closed.shape)), autograd=str(tuple(found.shape)))
        )
    usable = found.isfinite() & closed.isfinite()
    found, closed = torch.where(usable, found, 0.0), torch.where(usable, closed, 0.0)
    size = found.reshape(len(found), -1).abs().amax(1).clamp_min(1.0).reshape(-1, *[1] * (found.dim() - 1))
    # Rounding of the input moves a derivative by its own slope: large arguments are allowed their own units.
    reach = 1 + float(case[samples.subject.predictions[0]].abs().max()) / 10
    gap = (found - closed).abs() / size
    if bool((gap <= _RELATIVE * reach).all()):
        return float(gap.max())
    at = int(gap.argmax())
    values = {"closed": float(closed.reshape(-1)[at]), "autograd": float(found.reshape(-1)[at])}
    return failed(
        "bug",
        _WRONG(what=what, **values),
        case=case,
        seen=f"{values['autograd']:.9g}",
        expected=f"{values['closed']:.9g}, as its closed form says",
        call=_entry(at, int(case[samples.subject.predictions[0]][0].numel()), order),
        requires_grad=order == 1,
        subject=samples.unreduced,
        figures=values,
    )


def _entry(at: int, row: int, order: int) -> str:
    """Prints one entry of a gradient, or of the second derivatives of one sample with ``row`` numbers."""
    if order == 1:
        return f"x = {{first}}; loss({{args_with_x}}).sum().backward(); print(x.grad.reshape(-1)[{at}])"
    sample, column = at // row**2 * row, at % row
    second = "torch.autograd.functional.hessian(lambda x: loss({args_with_x}).sum(), x)"
    line = f"[{sample + at // row % row}, {sample + column}]"
    return f"x = {{first}}; print({second}.reshape(x.numel(), -1){line})"


def autograd_of(samples: Samples, case: Case, order: int) -> Tensor:
    """First derivative of the summed unreduced loss by the first prediction; for ``order`` 2 also [N, p, p]."""
    assert samples.unreduced is not None
    position = samples.subject.predictions[0]
    leaf = case[position].detach().clone().requires_grad_()
    placed = tuple(leaf if i == position else value for i, value in enumerate(case))
    value = samples.unreduced(*placed).sum()
    (slope,) = torch.autograd.grad(value, leaf, create_graph=order == 2)
    if order == 1:
        return slope.to(torch.float64)
    columns = []
    for k in range(leaf[0].numel()):
        if not slope.requires_grad:
            columns.append(torch.zeros(len(leaf), leaf[0].numel(), dtype=leaf.dtype))
            continue
        (column,) = torch.autograd.grad(
            slope.flatten(1)[:, k].sum(), leaf, retain_graph=True, allow_unused=True
        )
        columns.append((torch.zeros_like(leaf) if column is None else column).flatten(1))
    return torch.stack(columns, 2).to(torch.float64)


CHECK = Check(
    name="closed-forms",
    title=Text(en="closed forms equal the derivatives", zh="闭式等于导数"),
    run=_run,
    needs_contract=True,
)


def planted(factor: float) -> Subject:
    """log cosh whose closed gradient is off by a factor."""
    arguments = (Argument("input", "values"), Argument("target", "real"))

    def log_cosh(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
        d = (input - target).abs()
        losses = d + F.softplus(-2 * d) - math.log(2)
        return losses if reduction == "none" else losses.mean()

    def gradient(input: Tensor, target: Tensor, options: Options) -> Tensor:
        del options
        return factor * (input - target).tanh()

    spec = LossSpec(
        name="planted",
        family="regression",
        task="regression",
        formula="",
        input_space="values",
        range=(0.0, math.inf),
        function=log_cosh,
        arguments=arguments,
        gradient=gradient,
    )
    return Subject(
        name="planted",
        call=log_cosh,
        arguments=arguments,
        spec=spec,
        accepts=frozenset({"reduction"}),
        rebuild=lambda options: lambda *case: log_cosh(*case, **options),
    )


def broken() -> Subject:
    """The gradient twice too large."""
    return planted(2.0)


def sound() -> Subject:
    return planted(1.0)
