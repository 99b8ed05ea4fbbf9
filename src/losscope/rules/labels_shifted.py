"""``labels-shifted``: labels are one place off.

**What it says.** A language model is asked for the token that it is given (the shift is missing), or for the one
after the next (shifted twice); or classes are numbered from 1, so that class 0 never occurs.

**Statistic.** None: the targets of every sampled batch are the model's own input tokens, 0, 2 or 3 positions on, and
in no other way. Without a shift it is a finding once the loss is below 5 % of ln K: the answer is copied.

**Source.** Identity. Next-token prediction: Bengio et al. (2003).

**Example.** ``labels = ids[:, 1:]`` for a model that shifts ``labels`` itself; ``loss(model(ids), ids)``.

**Remedy.** ``cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())``, or ``model(ids, labels=ids)`` where
the model shifts them.

**False alarms.** Masked models are silent: their targets differ from the input where it is masked. So are heads for
several tokens ahead, where another term predicts the next one. An autoencoder of tokens that copies them perfectly
looks the same as a missing shift. Classes from 1 are mentioned as context: one output is never used.
"""

import math

import numpy as np

from losscope.core.finding import Evidence
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import Planted, PlantedTerm, every, falling, record
from losscope.rules.reasons import no_event, no_loss
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import main_stream, values
from losscope.rules.terms import TermView, data_terms

_LOOKS, _COPIED, _LABELS = 3, 0.05, 30
_TITLE_TWICE = Text(
    en="The labels are shifted twice: the model learns to predict the token {shift} places ahead",
    zh="标签被移位了多次：模型学习预测前方第 {shift} 个词元",
)
_TITLE_NONE = Text(
    en="The labels are not shifted: the model is asked for the token that it is given",
    zh="标签没有移位：要求模型输出的正是输入的词元",
)
_EVIDENCE = Text(
    en="the targets are the input tokens {shift} places on, in all {count} sampled batches",
    zh="在全部 {count} 个采样批次中，目标都是输入词元后移 {shift} 位",
)
_EXPECTED = Text(en="1: the next token", zh="1：下一个词元")
_REMEDY = Text(
    en="Shift once: cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()). A model that is given labels= "
    "shifts them itself: pass labels=ids.",
    zh="只移位一次：cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())。接收 labels= "
    "的模型会自行移位：传入 labels=ids。",
)
_TITLE_ONE = Text(
    en="Classes are numbered from 1: class 0 has no sample, and one of {classes} outputs is never used",
    zh="类别从 1 开始编号：类别 0 没有样本，{classes} 个输出中有一个从未使用",
)
_EVIDENCE_ONE = Text(
    en="the {count} labels seen lie between {low:g} and {high:g}",
    zh="观察到的 {count} 个标签位于 {low:g} 与 {high:g} 之间",
)
_EXPECTED_ONE = Text(en="classes from 0 to {last}", zh="类别从 0 到 {last}")
_REMEDY_ONE = Text(
    en="Number the classes from 0 (y - 1), with one output less.",
    zh="类别从 0 开始编号（y - 1），并减少一个输出。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording)
    if stream is None:
        return no_loss()
    judged = data_terms(recording, stream)
    if not judged:
        return no_event("anatomy")
    shifts = {t.label: s for t in judged if (s := _shift(recording, t)) is not None}
    if 1 not in shifts.values():
        for term in judged:
            shift = shifts.get(term.label)
            if shift is not None and (shift > 1 or (shift == 0 and _copied(term))):
                return _finding(recording, term, shift)
    return _from_one(recording, judged[0])


def _shift(recording: Recording, term: TermView) -> int | None:
    shifts = values(recording, signals.TARGET_SHIFT, term.label)
    return int(shifts[0]) if shifts.size >= _LOOKS and shifts[0] >= 0 and np.ptp(shifts) == 0 else None


def _copied(term: TermView) -> bool:
    classes, late = _classes(term), term.recent()
    return classes > 1 and late.size > 0 and float(np.median(late)) < _COPIED * math.log(classes)


def _classes(term: TermView) -> int:
    shape = term.prediction.get("shape") or ()
    return int(shape[1]) if len(shape) > 1 else 0


def _finding(recording: Recording, term: TermView, shift: int) -> Outcome:
    count = int(values(recording, signals.TARGET_SHIFT, term.label).size)
    evidence = Evidence(
        text=_EVIDENCE(shift=shift, count=count),
        signal=signals.TARGET_SHIFT.name,
        label=term.label,
        value=float(shift),
        expected=_EXPECTED(),
    )
    title = _TITLE_TWICE(shift=shift) if shift else _TITLE_NONE()
    confidence = 0.95 if shift else 0.8
    return [
        RULE.finding(
            title=title, confidence=confidence, evidence=(evidence,), remedy=_REMEDY(), where=term.where
        )
    ]


def _from_one(recording: Recording, term: TermView) -> Outcome:
    """Labels 1 to K - 1 of K outputs, so many that a class 0 as frequent as the others would have been seen."""
    classes = _classes(term)
    low, high = (values(recording, s, term.label) for s in (signals.TARGET_MIN, signals.TARGET_MAX))
    count = int(values(recording, signals.BATCH_SIZE, term.label).sum())
    if (
        term.task != "multi-class"
        or low.size == 0
        or high.size == 0
        or classes < 3
        or count < _LABELS * classes
    ):
        return []
    if float(low.min()) != 1.0 or float(high.max()) != classes - 1:
        return []
    evidence = Evidence(
        text=_EVIDENCE_ONE(count=count, low=1, high=classes - 1),
        signal=signals.TARGET_MIN.name,
        label=term.label,
        value=1.0,
        expected=_EXPECTED_ONE(last=classes - 1),
    )
    title = _TITLE_ONE(classes=classes)
    return [
        RULE.finding(
            title=title,
            severity="info",
            confidence=0.8,
            evidence=(evidence,),
            remedy=_REMEDY_ONE(),
            where=term.where,
        )
    ]


RULE = Rule(
    code="labels-shifted",
    severity="error",
    title=Text(en="Labels are one place off", zh="标签错位"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=("loss-at-chance", "loss-below-chance", "plateau-above-floor"),
)


def broken() -> Recording:
    """``labels = ids[:, 1:]`` for a model that shifts by itself."""
    return _planted(2.0)


def healthy() -> Recording:
    """Shifted once."""
    return _planted(1.0)


def _planted(shift: float) -> Recording:
    shape = {"shape": [512, 65], "activation": None}
    term = PlantedTerm(contract={"task": "multi-class", "unit": "nats", "prediction": shape})
    series: Planted = {(signals.TARGET_SHIFT, "0/0"): every(20, 600, shift)}
    return record(falling(start=4.0, end=1.5), terms=[term], series=series)
