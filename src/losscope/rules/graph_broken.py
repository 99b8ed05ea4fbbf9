"""``graph-broken``: the way from the loss back to some parameters is cut.

**What it says.** The optimiser holds parameters that the loss does not reach through the autograd graph: they
get no gradient and never learn. Named are the layers before the cut.

**Statistic.** None: exact. Over all looks that the watch took, the parameters that the backward graph reaches
are compared with those that the optimiser holds. Reported where the loss reaches none of them, or where the
*first* layers of the model are not reached while later ones are: a loss reaches a network from its end. Also where
the first layers are reached, and their gradient is exactly zero at each of at least five samples, while that of the
weight after them never is: an operation in between has no slope.

**Source.** The accumulation nodes of the autograd graph of PyTorch; Baydin et al. (2018), arXiv:1502.05767.

**Example.** ``features = encoder(x).detach()`` or an encoder under ``torch.no_grad()``, with
``Adam(model.parameters())``: the classifier learns on random features.

**Remedy.** Remove ``detach()``, ``.data``, ``.item()``, ``.numpy()`` or ``no_grad`` between these layers and the
loss. If they are meant to be frozen, say so with ``requires_grad_(False)``.

**False alarms.** Silent on parameters with ``requires_grad=False``, on heads that are not used (a gap at the
end, see ``parameters-not-optimised``), on experts and layers that only single updates skip, and on the networks
of another optimiser (GANs).
"""

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PARAMETERS, falling, optimizer, reach, record
from losscope.rules.reach import Reach, reach_of, shorten
from losscope.rules.reasons import no_event
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import streams

_NOTHING = Text(
    en="The loss reaches none of the {held} parameters that the optimiser holds",
    zh="损失无法到达优化器持有的 {held} 个参数中的任何一个",
)
_PREFIX = Text(
    en="The gradient is cut off before {last}: the first {count} of {held} parameters never learn",
    zh="梯度在 {last} 之前被截断：{held} 个参数中的前 {count} 个无法学习",
)
_ZERO = Text(
    en="No gradient comes through before {last}: that of the first {count} of {held} parameters is exactly zero",
    zh="梯度在 {last} 之前为零：{held} 个参数中前 {count} 个的梯度恒为零",
)
_EVIDENCE_ZERO = Text(
    en="reached by the loss, with a gradient of zero at every look: {names}",
    zh="损失可到达，但每次采样的梯度都为零：{names}",
)
_REMEDY_ZERO = Text(
    en="Look between {names} and the loss for an operation without a slope (sign, round, a comparison, a clamp that "
    "always acts) and use a smooth one, or a straight-through estimate: y = x + (round(x) - x).detach().",
    zh="在 {names} 与损失之间寻找斜率为零的运算（sign、round、比较、始终生效的 clamp），改用平滑运算或直通估计："
    "y = x + (round(x) - x).detach()。",
)
_EVIDENCE = Text(
    en="held by the optimiser but not reached by the loss: {names}",
    zh="优化器持有但损失未到达：{names}",
)
_EXPECTED = Text(
    en="every parameter that the optimiser holds is reached", zh="优化器持有的每个参数都应被到达"
)
_REMEDY = Text(
    en="Remove the detach(), .data, .item(), .numpy() or torch.no_grad() between {names} and the loss; if these "
    "layers are meant to stay fixed, call requires_grad_(False) on them.",
    zh="去掉 {names} 与损失之间的 detach()、.data、.item()、.numpy() 或 torch.no_grad()；"
    "若这些层本应固定，请对其调用 requires_grad_(False)。",
)


def judge(recording: Recording) -> Outcome:
    looks = {stream: found for stream in streams(recording) if (found := reach_of(recording, stream))}
    if not looks:
        return no_event("reach")
    findings = [finding for found in looks.values() if (finding := _finding(found))]
    return findings[:1]


def _finding(found: Reach) -> Finding | None:
    if found.nothing_in_common:
        if found.reached:  # it reaches other parameters: the optimiser is at fault, not the graph
            return None
        names, title, confidence = found.unreached, _NOTHING(held=len(found.held)), 0.98
    elif found.cut_prefix:
        names = found.cut_prefix
        following = found.held[len(names)]
        title = _PREFIX(last=following, count=len(names), held=len(found.held))
        confidence = 0.9
    elif found.without_gradient:
        names = found.without_gradient
        title = _ZERO(last=found.held[len(names)], count=len(names), held=len(found.held))
        return _told(found, names, title, _EVIDENCE_ZERO, _REMEDY_ZERO, 0.85)
    else:
        return None
    return _told(found, names, title, _EVIDENCE, _REMEDY, confidence)


def _told(
    found: Reach, names: tuple[str, ...], title: Message, text: Text, remedy: Text, confidence: float
) -> Finding:
    evidence = Evidence(
        text=text(names=shorten(names, 6)),
        signal=signals.GRADIENT_NORM_PARAMETER.name,
        label=names[0],
        value=float(len(names)),
        expected=_EXPECTED(),
    )
    advice = remedy(names=shorten(names))
    return RULE.finding(
        title=title, confidence=confidence, evidence=(evidence,), remedy=advice, where=found.where
    )


RULE = Rule(
    code="graph-broken",
    severity="error",
    title=Text(en="The gradient path is cut", zh="梯度路径被截断"),
    judge=judge,
    consequences=(
        "learning-rate-too-low",
        "loss-at-chance",
        "parameters-not-optimised",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """The output of the first three layers is detached."""
    return record(falling(end=0.9), events=[optimizer(), reach(PARAMETERS[3:], PARAMETERS)])


def healthy() -> Recording:
    """The first three layers are frozen on purpose: they require no gradient, the optimiser does not hold them."""
    seen = reach(PARAMETERS[3:], PARAMETERS[3:], frozen=PARAMETERS[:3])
    return record(falling(), events=[optimizer(PARAMETERS[3:]), seen])
