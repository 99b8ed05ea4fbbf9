"""``train-mode-in-evaluation``: the model is evaluated while it is switched to training.

**What it says.** In passes over held-out data dropout drops units, or batch normalisation uses the statistics of the
batch and moves its running ones with them: the figures are noisy, and the data leak into the model.

**Statistic.** None: exact, by what torch's own functions are called with, in at least half of the passes without
autograd in which a loss is computed, or which a loader of other data feeds. *Error* with batch normalisation, *warning*
with dropout alone.

**Source.** Ioffe and Szegedy (2015), arXiv:1502.03167, section 3.1; Srivastava et al. (2014), JMLR 15. The default of
``functional.dropout`` is ``training=True``, whatever ``model.eval()`` says.

**Example.** ``with torch.no_grad(): loss = criterion(model(x), y)`` after ``model.train()``; ``F.dropout(x, 0.5)`` in
``forward``.

**Remedy.** ``model.eval()`` before the evaluation and ``model.train()`` after it; ``nn.Dropout``, or
``F.dropout(x, p, training=self.training)``.

**False alarms.** Silent where the model as a whole evaluates and single layers were set to train, or where a call says
``training=True`` (Monte Carlo dropout); on passes over the training data (running statistics computed anew); on
teachers and generators that are called without autograd inside of an update.
"""

from losscope.core.finding import Evidence, Finding, Severity, Where
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.evaluations import held_out_labels
from losscope.rules.planted import PLACE, every, falling, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import line_of, values, where

DROPOUT, BATCH, BY_FUNCTION = 2, 4, 8
_BATCH = Text(
    en="Validation runs in training mode: batch normalisation uses the statistics of its batches",
    zh="验证在训练模式下进行：批归一化使用当前批的统计量",
)
_DROPOUT = Text(
    en="Validation runs in training mode: dropout is on", zh="验证在训练模式下进行：dropout 处于开启状态"
)
_FUNCTION = Text(
    en="Dropout is on in validation too: a call of it does not say when",
    zh="验证时 dropout 仍然开启：调用时没有指明何时开启",
)
_PASSES = Text(
    en="so it was in {wrong} of {passes} passes over held-out data",
    zh="对保留数据的 {passes} 次遍历中有 {wrong} 次如此",
)
_LOADER = Text(
    en="so it was while a loader of other data than the training data was read without autograd",
    zh="在不记录梯度、读取非训练数据的加载器时如此",
)
_EXPECTED = Text(en="evaluation mode in every pass", zh="每次遍历都处于评估模式")
_REMEDY = Text(
    en="Call model.eval() before the validation and model.train() after it.",
    zh="在验证前调用 model.eval()，验证后调用 model.train()。",
)
_REMEDY_FUNCTION = Text(
    en="Use nn.Dropout, or F.dropout(x, p, training=self.training).",
    zh="使用 nn.Dropout，或 F.dropout(x, p, training=self.training)。",
)


def judge(recording: Recording) -> Outcome:
    for label in held_out_labels(recording):
        passes = values(recording, signals.EVALUATION_MODE, label).astype(int)
        wrong = passes[passes > 0]
        if 2 * wrong.size >= max(passes.size, 1):
            evidence = Evidence(
                text=_PASSES(wrong=int(wrong.size), passes=int(passes.size)),
                signal=signals.EVALUATION_MODE.name,
                label=label,
                value=float(wrong.size),
                expected=_EXPECTED(),
            )
            return [_finding(int(wrong[-1]), evidence, _line(recording, label, int(wrong[-1])))]
    told = [
        e for e in recording.events_of("mode") if int(e.get("bits") or 0) & (DROPOUT | BATCH | BY_FUNCTION)
    ]
    fed = [e for e in told if e.get("fed")]
    if not fed:
        return []
    evidence = Evidence(
        text=_LOADER(), signal=signals.EVALUATION_MODE.name, label="", value=1.0, expected=_EXPECTED()
    )
    return [_finding(int(fed[0]["bits"]), evidence, where(fed[0]))]


def _line(recording: Recording, label: str, bits: int) -> Where | None:
    """The call of dropout that is always on, or the line that evaluates."""
    if bits & BY_FUNCTION:
        return line_of(recording, "", "mode")
    events = (e for e in recording.events_of("evaluation") if str(e.get("label")) == label)
    return next((where(e) for e in events), None)


def _finding(bits: int, evidence: Evidence, place: Where | None) -> Finding:
    title = _BATCH if bits & BATCH else _DROPOUT if bits & DROPOUT else _FUNCTION
    severity: Severity = "error" if bits & BATCH else "warning"
    remedy = _REMEDY if bits & (BATCH | DROPOUT) else _REMEDY_FUNCTION
    return RULE.finding(
        title=title(),
        severity=severity,
        confidence=0.9,
        evidence=(evidence,),
        remedy=remedy(),
        where=place,
    )


RULE = Rule(
    code="train-mode-in-evaluation",
    severity="error",
    title=Text(en="The model is evaluated in training mode", zh="模型在训练模式下评估"),
    judge=judge,
    needs=(signals.LOSS,),
)


def broken() -> Recording:
    """Nobody calls eval(): batch normalisation and dropout train in all ten validations."""
    series = {(signals.EVALUATION_MODE, "cross_entropy"): every(60, 600, float(DROPOUT | BATCH))}
    return record(falling(), series=series, validation=[0.05] * 10)


def healthy() -> Recording:
    """Layers with a mode evaluate in all passes but the one before training; elsewhere units are dropped on purpose."""
    series = {(signals.EVALUATION_MODE, "cross_entropy"): every(60, 600, [float(BATCH), *[0.0] * 9])}
    told = {"kind": "mode", "bits": BY_FUNCTION, "fed": False, "where": PLACE}
    return record(falling(), series=series, events=[told], validation=[0.05] * 10)
