"""``blind-spot``: what the watch could not see in this run.

**What it says.** A part of the run was hidden: a compiled step, a loss whose formula was not recognised, a hook
that could not be placed. Nothing is claimed about it.

**Statistic.** None: the "blind-spot" events of the recording, and terms of the objective of kind "unknown".

**Source.** The watch says itself what it cannot see.

**Example.** ``torch.compile`` over the whole training step: no autograd graph is there to be read.

**Remedy.** For a diagnosis run, switch off what hides the part (``TORCH_COMPILE_DISABLE=1``).

**False alarms.** Context only, never a complaint.
"""

from losscope.core.finding import Evidence
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PlantedTerm, falling, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import main_stream
from losscope.rules.terms import terms

_SHOWN = 5
_TITLE = Text(en="Not everything could be seen: {what}", zh="有些部分无法观察到：{what}")
_EVENT = Text(en="{what}: {why}", zh="{what}：{why}")
_UNKNOWN = Text(
    en="the term {kind} is no loss function that losscope knows", zh="{kind} 不是 losscope 认识的损失函数"
)
_EXPECTED = Text(en="nothing hidden", zh="没有隐藏的部分")
_REMEDY = Text(
    en="Nothing to repair; to see more, run once without what hides it (for compiled code: TORCH_COMPILE_DISABLE=1).",
    zh="无需修复；若想看到更多，请去掉遮挡因素再运行一次（对编译代码：TORCH_COMPILE_DISABLE=1）。",
)


def judge(recording: Recording) -> Outcome:
    seen = [(str(e.get("what") or "?"), str(e.get("why") or "")) for e in recording.events_of("blind-spot")]
    spots = [(what, _EVENT(what=what, why=why)) for what, why in dict.fromkeys(seen)]
    for term in terms(recording, main_stream(recording) or "0"):
        if term.kind.startswith("unknown"):
            spots.append((term.kind, _UNKNOWN(kind=term.kind)))
    if not spots:
        return []
    evidence = tuple(
        Evidence(text=text, signal=signals.LOSS.name, value=float(len(spots)), expected=_EXPECTED())
        for _, text in spots[:_SHOWN]
    )
    names = ", ".join(what for what, _ in spots[:2]) + (f" (+{len(spots) - 2})" if len(spots) > 2 else "")
    return [RULE.finding(title=_TITLE(what=names), confidence=1.0, evidence=evidence, remedy=_REMEDY())]


RULE = Rule(
    code="blind-spot",
    severity="info",
    title=Text(en="Not everything could be seen", zh="有些部分无法观察到"),
    judge=judge,
)


def broken() -> Recording:
    """A compiled loss, and a term that nobody recognised."""
    event = {"kind": "blind-spot", "what": "compiled step", "why": "its graph is one node"}
    return record(falling(), terms=[PlantedTerm(kind="unknown(ErfBackward0)", floor=None)], events=[event])


def healthy() -> Recording:
    """A run in which everything was seen."""
    return record(falling())
