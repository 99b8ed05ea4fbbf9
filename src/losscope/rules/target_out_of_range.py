"""``target-out-of-range``: targets lie where the loss has no meaning for them.

**What it says.** Labels −1 and 1, or pixels from 0 to 255, are given to a loss that takes numbers from 0 to 1, which
can then fall without limit; 0 and 1 to a loss of signs, for which a 0 says nothing; a negative number to a loss of
counts; or a class −1 to an index, which silently means the last class.

**Statistic.** None: the smallest and largest target of the sampled batches against the domain in the contract of the
loss.

**Source.** The contracts (``losscope losses NAME``). Cross-entropy of logits is ln(1 + eᶻ) − t·z, whose minimum is −∞
for t > 1 and for t < 0. The soft margin ln(1 + e^(−t·z)) is ln 2 for t = 0, whatever z.

**Example.** ``F.binary_cross_entropy_with_logits(z, y)`` with ``y`` in {−1, 1}: the loss falls below zero and on.

**Remedy.** Map the targets to the domain: ``(y + 1) / 2``, ``2 * y - 1``, ``pixels / 255``.

**False alarms.** Silent on label smoothing and soft targets, on −1 for unknown labels that weights or a mask take out,
on ``ignore_index``, and on losses whose targets are any real numbers.
"""

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import Planted, PlantedTerm, every, falling, record
from losscope.rules.reasons import no_event
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import streams, values
from losscope.rules.terms import TermView, terms

_ROUNDING = 1e-3  # bfloat16 keeps 1 + 1/128; what is wrong by mistake is wrong by more
_SIGNS = frozenset({"sign", "sign-label"})
_TITLE = Text(
    en="Targets from {low:g} to {high:g} are given to {kind}, which takes {domain}",
    zh="{kind} 的目标取值为 {low:g} 至 {high:g}，而它接受的是 {domain_zh}",
)
_EVIDENCE = Text(
    en="the targets of the sampled batches lie between {low:g} and {high:g}",
    zh="采样批次中的目标位于 {low:g} 与 {high:g} 之间",
)
_EXPECTED = Text(en="{domain}", zh="{domain_zh}")
_UNIT = Text(en="numbers from 0 to 1", zh="0 到 1 之间的数")
_FROM = Text(en="numbers from {least:g} upwards", zh="不小于 {least:g} 的数")
_BOTH = Text(en="-1 and 1", zh="-1 与 1")
_REMEDY_SIGNS = Text(
    en="Map the labels from -1 and 1 to 0 and 1: y = (y + 1) / 2.",
    zh="把标签从 -1 与 1 映射到 0 与 1：y = (y + 1) / 2。",
)
_REMEDY_ZERO_ONE = Text(
    en="Map the labels from 0 and 1 to -1 and 1: y = 2 * y - 1. As it is, no sample with a 0 is learnt from.",
    zh="把标签从 0 与 1 映射到 -1 与 1：y = 2 * y - 1。目前标签为 0 的样本不起作用。",
)
_REMEDY_PIXELS = Text(
    en="Divide the targets by 255, or by what they are counted in, so that they lie between 0 and 1.",
    zh="把目标除以 255（或其计量上限），使其位于 0 与 1 之间。",
)
_REMEDY_CLASS = Text(
    en="A class of -1 means the last class here: number the classes from 0, and leave out what has none, or use "
    "cross_entropy(logits, y, ignore_index=-1).",
    zh="在此类别 -1 表示最后一类：类别应从 0 开始编号；没有类别的样本应排除，或使用 "
    "cross_entropy(logits, y, ignore_index=-1)。",
)
_REMEDY = Text(
    en="Map the targets to the domain of {kind}, or use a loss for real numbers such as mse_loss.",
    zh="把目标映射到 {kind} 的取值范围，或使用适用于实数的损失，如 mse_loss。",
)


def judge(recording: Recording) -> Outcome:
    if not recording.events_of("anatomy"):
        return no_event("anatomy")
    for stream in streams(recording):
        for term in terms(recording, stream):
            found = _judge(recording, term)
            if found is not None:
                return [found]
    return []


def _judge(recording: Recording, term: TermView) -> Finding | None:
    domain, kind = term.target.get("domain"), str(term.target.get("kind"))
    low, high = (values(recording, s, term.label) for s in (signals.TARGET_MIN, signals.TARGET_MAX))
    if not isinstance(domain, list) or len(domain) != 2 or low.size == 0 or high.size == 0:
        return None
    ignored = term.options.get("ignore_index")
    least, most = float(low[low != ignored].min(initial=float(high.max()))), float(high.max())
    if kind in _SIGNS and least == 0 and most == 1:
        return _finding(term, least, most, _BOTH(), _REMEDY_ZERO_ONE())
    bottom, top = domain
    below = bottom is not None and least < bottom - _ROUNDING
    if not below and not (top is not None and most > top * (1 + _ROUNDING)):
        return None
    remedy = _REMEDY(kind=term.kind)
    if kind.startswith("class-index"):
        remedy = _REMEDY_CLASS()
    elif (bottom, top) == (0, 1):
        remedy = _REMEDY_SIGNS() if (least, most) == (-1, 1) else _REMEDY_PIXELS() if least >= 0 else remedy
    wanted = _UNIT() if (bottom, top) == (0, 1) else _BOTH() if kind in _SIGNS else _FROM(least=bottom or 0)
    return _finding(term, least, most, wanted, remedy)


def _finding(term: TermView, low: float, high: float, wanted: Message, remedy: Message) -> Finding:
    domain = {"domain": wanted.render("en"), "domain_zh": wanted.render("zh")}
    below = low < 0
    evidence = Evidence(
        text=_EVIDENCE(low=low, high=high),
        signal=(signals.TARGET_MIN if below else signals.TARGET_MAX).name,
        label=term.label,
        value=low if below else high,
        expected=_EXPECTED(**domain),
    )
    return RULE.finding(
        title=_TITLE(kind=term.kind, low=low, high=high, **domain),
        confidence=0.97,
        evidence=(evidence,),
        remedy=remedy,
        where=term.where,
    )


RULE = Rule(
    code="target-out-of-range",
    severity="error",
    title=Text(en="Targets lie outside the domain of the loss", zh="目标超出损失的取值范围"),
    judge=judge,
    consequences=(
        "activation-before-loss",
        "diverging-loss",
        "exploding-gradient",
        "learning-rate-too-high",
        "loss-at-chance",
        "non-finite",
        "plateau-above-floor",
    ),
)


def broken() -> Recording:
    """Labels -1 and 1 for binary cross-entropy with logits."""
    return _binary(-1.0)


def healthy() -> Recording:
    """The same labels as 0 and 1, smoothed."""
    return _binary(0.05)


def _binary(lowest: float) -> Recording:
    target = {"shape": [64], "dtype": "torch.float32", "kind": "unit", "domain": [0.0, 1.0]}
    term = PlantedTerm(
        kind="binary_cross_entropy_with_logits", contract={"target": target, "task": "binary"}, floor=None
    )
    series: Planted = {
        (signals.TARGET_MIN, "0/0"): every(20, 600, lowest),
        (signals.TARGET_MAX, "0/0"): every(20, 600, 1.0),
    }
    return record(falling(start=0.7), terms=[term], series=series)
