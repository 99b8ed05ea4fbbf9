"""Nothing is learnt through the teacher.

In distillation the target is what another network says. If its scores require a gradient and the loss does not detach
them, the gradient flows into the teacher as well: the teacher learns to agree with the student, which is the cheaper
way. torch's own losses do not detach their targets either, so that it is a **convention**: wrap the teacher in
``torch.no_grad`` or detach its scores. A loss that detaches them says so by passing.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.shrink import source
from losscope.checks.subject import Raised, Subject, with_gradient
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_FLOWS = Text(
    en="a gradient of norm {seen:.4g} flows into the scores of the teacher where they require one: the loss does not "
    "detach them",
    zh="当教师分数需要梯度时，范数为 {seen:.4g} 的梯度会流入教师：损失没有对其 detach",
)
_PASS = Text(en="no gradient reaches the teacher", zh="梯度不会传到教师")
_NONE = Text(en="no target is what another network says", zh="目标不是另一个网络的输出")


def _run(subject: Subject) -> Iterator[Result]:
    teacher = next((i for i, a in enumerate(subject.arguments) if a.kind == "teacher-logits"), None)
    if teacher is None or not subject.predictions:
        yield skipped(_NONE)
        return
    case = list(with_gradient(subject, subject.case(0)))
    leaf = case[teacher].detach().clone().requires_grad_()
    case[teacher] = leaf
    value = subject.value(case)
    if not value.requires_grad:
        yield skipped(_NONE)
        return
    try:
        (slope,) = torch.autograd.grad(value, [leaf], allow_unused=True)
    except RuntimeError as error:
        raise Raised(error) from error
    size = 0.0 if slope is None else float(slope.norm())
    if size > 0:
        texts = ["y" if i == teacher else source(v.detach()) for i, v in enumerate(case)]
        backward = f"loss({', '.join(texts)}).sum().backward()"
        yield failed(
            "convention",
            _FLOWS(seen=size),
            case=tuple(v.detach() for v in case),
            seen=f"{size:.4g}",
            expected="no gradient",
            call=f"y = {source(leaf.detach())}.requires_grad_(); {backward}; print(y.grad.norm())",
        )
    else:
        yield passed(_PASS)


CHECK = Check(
    name="target-gradient",
    title=Text(en="no gradient flows into the teacher", zh="梯度不会流入教师"),
    run=_run,
)

_PAIR = (Argument("student", "logits"), Argument("teacher", "teacher-logits"))


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    return F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="batchmean")


def broken() -> Subject:
    return Subject(name="live teacher", call=_divergence, arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="detached teacher", call=lambda s, t: _divergence(s, t.detach()), arguments=_PAIR)
