"""``torch.func``: per-sample gradients by ``grad`` and ``vmap`` are right, or refused.

``vmap`` over three stacked batches must give the three values, ``torch.func.grad`` what autograd gives. A refusal
(data-dependent branches, ``.item()``) is a convention; another number is a bug.
"""

import warnings
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch._C._functorch import maybe_current_level  # pyright: ignore[reportMissingImports]

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import Raised, Subject, first_line, gradients
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_BATCHES = 3

_VMAP_WRONG = Text(
    en="vmap gives {seen:.8g} for a batch whose value is {expected:.8g}",
    zh="vmap 得到 {seen:.8g}，而该批次的值为 {expected:.8g}",
)
_GRAD_WRONG = Text(
    en="torch.func.grad differs from autograd by {distance:.3g}",
    zh="torch.func.grad 与 autograd 相差 {distance:.3g}",
)
_REFUSED = Text(en="{what} is refused: {error}", zh="{what} 被拒绝：{error}")
_PASS = Text(
    en="vmap and torch.func.grad agree with plain calls", zh="vmap 与 torch.func.grad 和普通调用一致"
)
_RANDOM = Text(en="the value depends on the random state", zh="损失值依赖随机状态")

_REMEMBERS = Text(
    en="the loss remembers its calls: there is nothing to compare", zh="该损失记住以前的调用：无从比较"
)


def _run(subject: Subject) -> Iterator[Result]:
    if subject.remembering is not None:
        yield skipped(_REMEMBERS)
        return
    cases = [subject.case(seed) for seed in range(_BATCHES)]
    expected = [float(subject.value(case)) for case in cases]
    if expected != [float(subject.value(case)) for case in cases]:
        yield skipped(_RANDOM)
        return
    clean = True
    for found in (_vmap(subject, cases, expected), _grad(subject, cases[0])):
        if found is not None:
            clean = False
            yield found
    if clean:
        yield passed(_PASS)


def _plain(subject: Subject) -> Callable[..., Tensor]:
    """The value as a function of single tensors, as the transforms want it."""

    def call(*case: Tensor) -> Tensor:
        return subject.value(case)

    return call


def _vmap(subject: Subject, cases: list, expected: list[float]) -> Result | None:
    stacked = [torch.stack(values) for values in zip(*cases, strict=True)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a slow fallback is no fault
            values = torch.func.vmap(_plain(subject), randomness="same")(*stacked)
    except Raised as raised:
        return failed("convention", _REFUSED(what="vmap", error=first_line(raised.error)))
    except Exception as error:  # noqa: BLE001  vmap itself refuses what the loss returned
        return failed("convention", _REFUSED(what="vmap", error=first_line(error)))
    for seen, true in zip(values.tolist(), expected, strict=True):
        if abs(seen - true) > 1e-5 * (1 + abs(true)):
            return failed(
                "bug",
                _VMAP_WRONG(seen=seen, expected=true),
                case=cases[0],
                seen=f"{seen:.8g}",
                expected=f"{true:.8g}",
                call="print(torch.func.vmap(loss)(*(torch.stack([a, a]) for a in ({args},))))",
            )
    return None


def _grad(subject: Subject, case: tuple[Tensor, ...]) -> Result | None:
    _, _, plain = gradients(subject, case)
    if all(g is None for g in plain):
        return None
    position = next(i for i, g in zip(subject.predictions, plain, strict=True) if g is not None)
    reference = next(g for g in plain if g is not None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.func.grad(_plain(subject), argnums=position)(*case)
    except Raised as raised:
        return failed("convention", _REFUSED(what="torch.func.grad", error=first_line(raised.error)))
    except Exception as error:  # noqa: BLE001  torch.func itself refuses
        return failed("convention", _REFUSED(what="torch.func.grad", error=first_line(error)))
    distance = float((found - reference).abs().max())
    if distance > 1e-5 * (1 + float(reference.abs().max())):
        return failed("bug", _GRAD_WRONG(distance=distance), case=case, seen=f"differs by {distance:.3g}")
    return None


CHECK = Check(
    name="torch-func",
    title=Text(
        en="vmap and torch.func.grad are right, or refuse", zh="vmap 与 torch.func.grad 正确，或明确拒绝"
    ),
    run=_run,
    slow=True,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    """A gradient that is twice as large under ``torch.func``, whose level is open there."""

    class Wrong(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Tensor, t: Tensor) -> Tensor:
            return (x - t).square().mean()

        @staticmethod
        def setup_context(ctx, inputs, output):
            del output
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, *grad_outputs: Tensor):
            x, t = ctx.saved_tensors
            scale = 1.0 if maybe_current_level() is None else 2.0
            return grad_outputs[0] * scale * 2 * (x - t) / x.numel(), None

    return Subject(name="eager only", call=Wrong.apply, arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="mse", call=F.mse_loss, arguments=_PAIR)
