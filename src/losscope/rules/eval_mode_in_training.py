"""``eval-mode-in-training``: the model is trained while it is switched to evaluation.

**What it says.** All layers that behave differently in training evaluate at the updates: dropout is off, and batch
normalisation uses running statistics that nothing updates any more.

**Statistic.** None: exact, by the nodes of batch normalisation in the graphs of the losses and by the calls of dropout.
*Error* where the same layers trained at earlier updates (``model.eval()`` for a validation was never taken back), or
where the running statistics are still the 0 and 1 that the layers were made with, so that nothing is normalised; else
*warning* for dropout that is off, *info* for pretrained statistics and where the loss is no measure of progress.

**Source.** Ioffe and Szegedy (2015), arXiv:1502.03167, section 3.1; Srivastava et al. (2014), JMLR 15.

**Example.** ``model.train()`` before the loop over epochs and ``model.eval()`` in its validation: from the second epoch
on the model is trained in evaluation mode.

**Remedy.** ``model.train()`` at the start of every epoch.

**False alarms.** Silent where single layers were set to evaluation inside a module that trains (batch normalisation
frozen on purpose), on frozen backbones, whose normalisation no gradient passes, and where forward passes in both modes
belong to the updates (adversarial examples, roll-outs).
"""

from typing import Any

from losscope.core.finding import Evidence, Severity
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PLACE, every, falling, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import events_of, is_aimless, streams, updates, where

_SWITCHED = Text(
    en="From update {step} at the latest the model is trained in evaluation mode",
    zh="最迟从第 {step} 次更新起，模型在评估模式下训练",
)
_ALWAYS = Text(en="The model is trained in evaluation mode", zh="模型在评估模式下训练")
_EVIDENCE = Text(
    en="of {norms} batch normalisations none used the batch, of {calls} calls of dropout none dropped anything",
    zh="{norms} 个批归一化层都未使用批统计量，{calls} 次 dropout 调用都未丢弃任何单元",
)
_EXPECTED = Text(en="training mode at every update", zh="每次更新都处于训练模式")
_REMEDY = Text(
    en="Call model.train() at the start of every epoch, after each validation that calls model.eval().",
    zh="在每个 epoch 开始时（每次调用 model.eval() 的验证之后）调用 model.train()。",
)


def judge(recording: Recording) -> Outcome:
    for stream in streams(recording):
        told = events_of(recording, "modes", stream)
        if told and told[-1].get("evaluating") and not told[-1].get("intended"):
            switched = not all(event.get("evaluating") for event in told)
            return [_finding(recording, stream, told[-1], switched=switched)]
    return []


def _finding(recording: Recording, stream: str, event: dict[str, Any], *, switched: bool) -> Any:
    untouched = bool(event.get("untouched"))
    norms, calls = sum(event.get("norms") or ()), sum(event.get("dropouts") or ())
    severity: Severity = "error" if switched or untouched else "warning" if calls else "info"
    if is_aimless(recording, stream):
        severity = "info"
    step = int(event.get("step") or 0)
    evidence = Evidence(
        text=_EVIDENCE(norms=norms, calls=calls),
        signal=signals.LOSS.name,
        label=stream,
        value=float(updates(recording, stream) - step),
        expected=_EXPECTED(),
        steps=(step,),
    )
    return RULE.finding(
        title=_SWITCHED(step=step) if switched else _ALWAYS(),
        severity=severity,
        confidence=0.95 if switched or untouched else 0.7,
        evidence=(evidence,),
        remedy=_REMEDY(),
        where=where(event),
    )


RULE = Rule(
    code="eval-mode-in-training",
    severity="error",
    title=Text(en="The model is trained in evaluation mode", zh="模型在评估模式下训练"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(),
)


def modes(step: int, *, evaluating: bool, intended: bool = False, untouched: bool = False) -> dict[str, Any]:
    """A ``modes`` event of four batch normalisations and as many calls of dropout."""
    counts = [4, 0] if evaluating else [0, 4]
    return {
        "kind": "modes",
        "stream": "0",
        "step": step,
        "evaluating": evaluating,
        "intended": intended,
        "untouched": untouched,
        "norms": counts,
        "dropouts": counts,
        "where": PLACE,
    }


def broken() -> Recording:
    """The first epoch trains; then a validation calls eval(), and nobody calls train() again."""
    told = [modes(0, evaluating=False), modes(55, evaluating=True)]
    return record(falling(), events=told, series={(signals.NORM_SAMPLES, "0"): every(20, 60, 64.0)})


def healthy() -> Recording:
    """Batch normalisation alone is frozen half-way, in a model that goes on training."""
    return record(falling(), events=[modes(0, evaluating=False), modes(300, evaluating=True, intended=True)])
