"""``parameters-not-optimised``: the loss and the optimiser are about different parameters.

**What it says.** The loss sends gradients to parameters that no optimiser holds, so that they keep their
initial values; or the optimiser holds a part of the model that the loss does not use.

**Statistic.** None: exact comparison of the parameters that the backward graph reaches with those that all
optimisers of the run hold. *Error* where the loss reaches none of the optimiser's parameters or where trained
layers are missing from it; *warning* where a tenth or more of the held parameters is an unused rest; *info*
below that, and where only a small head of a large model is trained.

**Source.** ``torch.optim`` updates only the tensors in its ``param_groups``; modules in a plain Python list are
not registered (``torch.nn.ModuleList``).

**Example.** ``optimizer = Adam(model.parameters())`` followed by ``model = Net()`` or
``model.fc = nn.Linear(512, 10)``: the optimiser goes on moving parameters that nothing uses. A layer that is made
inside ``forward`` is a new one at every update.

**Remedy.** Make the optimiser after the model is complete, from all of its parameters; use ``nn.ModuleList`` in
place of a list. What is meant to stay fixed, such as a teacher or the reference model of DPO, belongs under
``torch.no_grad()`` or gets ``requires_grad_(False)``.

**False alarms.** Silent on ``requires_grad=False``, on parameters of another optimiser (GANs), on inputs that
require a gradient (adversarial examples, physics-informed networks), and on experts that single updates skip. A
teacher that is called without ``torch.no_grad()`` is reported: it costs a backward pass, but does no harm.
"""

from dataclasses import dataclass

from losscope.core.finding import Evidence, Finding, Severity
from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PARAMETERS, falling, optimizer, reach, record
from losscope.rules.reach import RAW, Reach, reach_of, shorten
from losscope.rules.reasons import no_event
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import streams

_UNUSED_SHARE = 0.1
_BACKBONE_TENSORS = 16
"""A part of at least sixteen tensors of which only a small head is trained is a feature extractor."""

_STALE = Text(
    en="The optimiser holds none of the {reached} parameters that the loss reaches",
    zh="损失到达的 {reached} 个参数，优化器一个也没有持有",
)
_MISSING = Text(
    en="{count} parameters get a gradient but no optimiser holds them",
    zh="{count} 个参数得到梯度，但没有任何优化器持有它们",
)
_HEAD = Text(
    en="Only {held} of {all} parameters are trained; gradients of the rest are computed and thrown away",
    zh="{all} 个参数中只训练了 {held} 个；其余参数的梯度被计算后丢弃",
)
_UNUSED = Text(
    en="The optimiser holds {count} of {held} parameters that the loss does not use",
    zh="优化器持有的 {held} 个参数中有 {count} 个未被损失使用",
)
_RENEWED = Text(
    en="Parameters are made anew for every forward pass, so that they never learn: {names}",
    zh="每次前向计算都新建参数，因此它们永远学不到东西：{names}",
)
_REMEDY_RENEWED = Text(
    en="Make the layer that holds {names} once, in __init__, as self.layer = …, before the optimiser.",
    zh="在 __init__ 中用 self.layer = … 只创建一次包含 {names} 的层，并在创建优化器之前完成。",
)
_NAMES = Text(en="{names}", zh="{names}")
_EXPECTED_HELD = Text(
    en="every parameter that gets a gradient is in an optimiser", zh="得到梯度的每个参数都应在某个优化器中"
)
_EXPECTED_USED = Text(
    en="every parameter in the optimiser is used by the loss", zh="优化器中的每个参数都应被损失使用"
)
_REMEDY_HELD = Text(
    en="Make the optimiser after the model is complete, from model.parameters(), and keep submodules in "
    "nn.ModuleList, so that {names} are in it. If they are meant to stay as they are (a teacher, a reference model), "
    "call them under torch.no_grad().",
    zh="在模型完全构建之后再用 model.parameters() 创建优化器，子模块放入 nn.ModuleList，使 {names} 包含在内。"
    "如果它们本应保持不变（教师模型、参考模型），请在 torch.no_grad() 下调用。",
)
_REMEDY_HEAD = Text(
    en="Call requires_grad_(False) on the fixed part ({names}): the backward pass becomes cheaper.",
    zh="对固定部分（{names}）调用 requires_grad_(False)，反向传播会更省时。",
)
_REMEDY_USED = Text(
    en="Use {names} in the loss, or leave them out of the optimiser; if the loss does use their output, look for a "
    "detach(), .data, .item() or torch.no_grad() in between.",
    zh="让损失用到 {names}，或把它们从优化器中去掉；如果损失确实使用了它们的输出，请检查其间是否有 detach()、.data、"
    ".item() 或 torch.no_grad()。",
)


@dataclass(frozen=True, slots=True)
class _Words:
    title: Message
    remedy: Text
    expected: Text


def judge(recording: Recording) -> Outcome:
    looks = {stream: found for stream in streams(recording) if (found := reach_of(recording, stream))}
    if not looks:
        return no_event("reach")
    findings = [f for found in looks.values() for f in (_unheld(found), _unused(found)) if f is not None]
    return findings[:1]


def _unheld(found: Reach) -> Finding | None:
    named = tuple(name for name in found.unheld if not name.startswith(RAW))
    if found.nothing_in_common and found.unheld:
        title = _STALE(reached=len(found.unheld))
        return _finding(found, found.unheld, _Words(title, _REMEDY_HELD, _EXPECTED_HELD), "error", 0.97)
    if found.renewed and not found.nothing_in_common:
        title = _RENEWED(names=shorten(found.renewed))
        return _finding(found, found.renewed, _Words(title, _REMEDY_RENEWED, _EXPECTED_HELD), "error", 0.9)
    if not named or found.nothing_in_common:
        return None
    if _head_of_backbone(found, named):
        title = _HEAD(held=len(found.held), all=len(found.held) + len(named))
        return _finding(found, named, _Words(title, _REMEDY_HEAD, _EXPECTED_HELD), "info", 0.9)
    title = _MISSING(count=len(named))
    return _finding(found, named, _Words(title, _REMEDY_HELD, _EXPECTED_HELD), "error", 0.9)


def _head_of_backbone(found: Reach, unheld: tuple[str, ...]) -> bool:
    """Many fixed tensors and few trained ones; or what is trained is no part of a model (an input image)."""
    if len(unheld) < _BACKBONE_TENSORS:
        return False
    return len(found.held) <= len(unheld) / 4 or all(name.startswith(RAW) for name in found.held)


def _unused(found: Reach) -> Finding | None:
    if not found.unreached or found.nothing_in_common or found.cut_prefix:
        return None
    share = len(found.unreached) / len(found.held)
    severity: Severity = "warning" if share >= _UNUSED_SHARE else "info"
    title = _UNUSED(count=len(found.unreached), held=len(found.held))
    return _finding(found, found.unreached, _Words(title, _REMEDY_USED, _EXPECTED_USED), severity, 0.8)


def _finding(
    found: Reach, names: tuple[str, ...], words: _Words, severity: Severity, confidence: float
) -> Finding:
    evidence = Evidence(
        text=_NAMES(names=shorten(names, 6)),
        signal=signals.GRADIENT_NORM_PARAMETER.name,
        label=names[0],
        value=float(len(names)),
        expected=words.expected(),
    )
    return RULE.finding(
        title=words.title,
        severity=severity,
        confidence=confidence,
        evidence=(evidence,),
        remedy=words.remedy(names=shorten(names)),
        where=found.where,
    )


RULE = Rule(
    code="parameters-not-optimised",
    severity="error",
    title=Text(en="Parameters are not optimised", zh="有参数未被优化"),
    judge=judge,
    consequences=("learning-rate-too-low", "loss-at-chance", "plateau-above-floor", "vanishing-gradient"),
)


def broken() -> Recording:
    """Two layers were added to the model after the optimiser had been made."""
    return record(falling(end=0.9), events=[optimizer(PARAMETERS[:4]), reach(PARAMETERS, PARAMETERS[:4])])


def healthy() -> Recording:
    """A GAN's generator step: its loss passes through the discriminator, which another optimiser holds."""
    generator, discriminator = PARAMETERS[:3], PARAMETERS[3:]
    events = [reach(PARAMETERS, generator), reach(discriminator, discriminator, stream="1")]
    return record(falling(), events=[optimizer(generator), *events])
