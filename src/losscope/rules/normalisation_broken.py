"""``normalisation-broken``: batch normalisation has no batch, or its running statistics are no average.

**What it says.** What the model is evaluated with is not what it was trained with: batches of one sample are normalised
by themselves, or the running statistics never moved, or are those of the last batch alone.

**Statistic.** Exact: the number of samples of batch normalisation in training mode is one in at least half of the
sampled updates; or its ``momentum`` is 0, or 0.9 and more, at most of its calls. In PyTorch the running mean is
(1 − momentum) · old + momentum · new, so that 0.9 keeps the last batch and little else (TensorFlow and the papers write
the other weight). *Error* where momentum is 0 or the run does not learn, else *warning*; *info* where the loss is no
measure of progress.

**Source.** Ioffe and Szegedy (2015), arXiv:1502.03167; Ioffe (2017), arXiv:1702.03275, on small batches;
``torch.nn.BatchNorm2d``.

**Example.** ``nn.BatchNorm2d(64, momentum=0.99)`` copied from another framework; ``DataLoader(batch_size=1)``.

**Remedy.** ``momentum=0.1`` (or 0.01 for long averages); ``nn.GroupNorm`` for batches of one.

**False alarms.** Silent on ``momentum=None`` (a plain average), on layers without running statistics, and on instance,
group and layer normalisation.
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged, Severity
from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.deficit import learning_deficit
from losscope.rules.planted import every, falling, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import is_aimless, main_stream, values

_ONE = Text(en="Batch normalisation gets batches of one sample", zh="批归一化的每个批次只有一个样本")
_SAMPLES = Text(en="one sample in {share} of the sampled updates", zh="{share} 的采样更新中批次只有一个样本")
_NEVER = Text(
    en="The running statistics of batch normalisation never move: momentum is 0",
    zh="批归一化的滑动统计量从不更新：momentum 为 0",
)
_LAST = Text(
    en="The running statistics of batch normalisation are those of the last batch: momentum is {momentum:.3g}",
    zh="批归一化的滑动统计量几乎只反映最后一个批次：momentum 为 {momentum:.3g}",
)
_MOMENTUM = Text(
    en="most calls in training mode had momentum={momentum:.3g}",
    zh="训练模式下大多数调用的 momentum={momentum:.3g}",
)
_EXPECTED = Text(en="a momentum near 0.1", zh="momentum 约为 0.1")
_EXPECTED_SAMPLES = Text(en="batches of several samples", zh="批次含多个样本")
_REMEDY = Text(en="Use momentum=0.1, torch's default.", zh="使用 torch 的默认值 momentum=0.1。")
_REMEDY_ONE = Text(
    en="Use larger batches, or nn.GroupNorm in place of batch normalisation.",
    zh="增大批次，或用 nn.GroupNorm 代替批归一化。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording) or "0"
    told = recording.events_of("norm-momentum")
    samples = values(recording, signals.NORM_SAMPLES, stream)
    alone = float(np.mean(samples <= 1)) if samples.size else 0.0
    if told:
        momentum = float(told[-1].get("momentum") or 0.0)
        title = _NEVER() if momentum < 0.5 else _LAST(momentum=momentum)
        found = _evidence(signals.LOSS.name, stream, momentum, _MOMENTUM(momentum=momentum), _EXPECTED())
        severity, remedy = "error" if momentum < 0.5 else "warning", _REMEDY()
    elif alone >= 0.5:
        shown = f"{100 * alone:.0f} %"
        title = _ONE()
        found = _evidence(signals.NORM_SAMPLES.name, stream, 1.0, _SAMPLES(share=shown), _EXPECTED_SAMPLES())
        severity, remedy = "warning", _REMEDY_ONE()
    else:
        return []
    severity = _severity(recording, stream, severity)
    return [RULE.finding(title=title, severity=severity, confidence=0.85, evidence=(found,), remedy=remedy)]


def _severity(recording: Recording, stream: str, usual: Severity) -> Severity:
    if is_aimless(recording, stream):
        return "info"
    deficit = learning_deficit(recording)
    return "error" if deficit is not None and not isinstance(deficit, NotJudged) else usual


def _evidence(signal: str, label: str, value: float, text: Message, expected: Message) -> Evidence:
    return Evidence(text=text, signal=signal, label=label, value=value, expected=expected)


RULE = Rule(
    code="normalisation-broken",
    severity="error",
    title=Text(en="Batch normalisation does not normalise", zh="批归一化失效"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=("loss-at-chance", "overfitting"),
)


def broken() -> Recording:
    """The running statistics stay at 0 and 1, since momentum is 0."""
    told = {"kind": "norm-momentum", "momentum": 0.0}
    return record(falling(), events=[told], series={(signals.NORM_SAMPLES, "0"): every(20, 600, 64.0)})


def healthy() -> Recording:
    """A last batch of a single sample now and then."""
    samples = every(20, 600, [64.0, 64.0, 1.0] * 10)
    return record(falling(), series={(signals.NORM_SAMPLES, "0"): samples})
