"""``input-has-no-effect``: the model gives the same answer whatever goes in.

**What it says.** The predictions for all samples of a batch are equal to rounding, in every look of the second half
of the run, while the targets differ. Nothing of the input arrives at the output.

**Statistic.** Largest difference between two predictions of a batch by the largest prediction, below 10⁻⁶: eight
units of float32's last place. Told beside it: whether the inputs themselves are equal, and the first layer whose
input is zero.

**Source.** Identity: a function that is constant on the data.

**Example.** All ReLU units dead; inputs divided by 255 twice and cast to integers, which are zeros; a data set whose
``__getitem__`` ignores its index; weights that decay has made zero.

**Remedy.** Print one batch before the first layer and behind each layer: find where the rows become equal.

**False alarms.** Silent for batches of one sample, for models without an input (a distribution fitted to data), for
objectives trained in alternation, where targets are equal too, and for heads that begin at zero: only the second half
of the run counts.
"""

import numpy as np

from losscope.core.finding import Evidence
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.layer_profile import silent_inputs
from losscope.rules.planted import Planted, PlantedTerm, every, falling, flat, record
from losscope.rules.reasons import coupled as in_alternation
from losscope.rules.reasons import no_loss, no_series, too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.robust import Floats
from losscope.rules.streams import coupled, main_stream, updates, values
from losscope.rules.terms import TermView, data_terms, late_values

_ROUNDING, _LOOKS, _LEAST = 1e-6, 3, 20
_TASKS = frozenset(
    {"binary", "multi-class", "multi-label", "ordinal", "regression", "counts", "segmentation"}
)
_TITLE = Text(
    en="The input has no effect: the predictions for all samples are the same",
    zh="输入不起作用：模型对所有样本的预测都相同",
)
_EVIDENCE = Text(
    en="predictions of one batch differ by at most {value:.1g} of their size, in all {count} looks since update {step}",
    zh="自第 {step} 次更新起的全部 {count} 次检查中，同一批次的预测之差不超过其大小的 {value:.1g}",
)
_EXPECTED = Text(en="predictions that differ as the inputs do", zh="预测应随输入而不同")
_EQUAL = Text(
    en="the inputs themselves are equal: all samples of a batch are the same",
    zh="输入本身就相同：批次中的所有样本一样",
)
_SILENT = Text(
    en="{name} gets no gradient while its bias does: what reaches this layer is all zero",
    zh="{name} 没有梯度，而其偏置有：到达该层的输入全为零",
)
_EXPECTED_INPUT = Text(en="an input that varies", zh="随样本变化的输入")
_REMEDY = Text(
    en="Print one batch before the first layer and behind each layer, and find where its rows become equal: in "
    "the data "
    "(a conversion to integers, an index that is ignored) or at dead or saturated units.",
    zh="打印一个批次在第一层之前及每层之后的数值，找出各行从何处变得相同：在数据中（转换为整数、"
    "忽略索引）或在失活、饱和的单元处。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording)
    if stream is None:
        return no_loss()
    rivals = coupled(recording)
    if rivals > 1:
        return in_alternation(rivals)
    if updates(recording, stream) < _LEAST:
        return too_few(updates(recording, stream), _LEAST)
    judged = [t for t in data_terms(recording, stream) if t.task in _TASKS and _differ(recording, t)]
    looks = [late_values(recording, signals.PREDICTION_SPREAD, t) for t in judged]
    if (
        not judged
        or not len(recording.series(signals.INPUT_PRINT, stream))
        or any(x.size < _LOOKS for x in looks)
    ):
        return no_series(signals.PREDICTION_SPREAD.name)
    if any(float(x.max()) > _ROUNDING for x in looks):
        return []
    told = Evidence(
        text=_EVIDENCE(value=float(looks[0].max()), count=int(looks[0].size), step=judged[0].updates // 2),
        signal=signals.PREDICTION_SPREAD.name,
        label=judged[0].label,
        value=float(looks[0].max()),
        expected=_EXPECTED(),
    )
    evidence = (told, *_where_it_ends(recording, stream))
    return [RULE.finding(confidence=0.97, evidence=evidence, remedy=_REMEDY(), where=judged[0].where)]


def _differ(recording: Recording, term: TermView) -> bool:
    spread = values(recording, signals.TARGET_STD, term.label)
    return spread.size > 0 and float(np.median(spread)) > 0


def _where_it_ends(recording: Recording, stream: str) -> tuple[Evidence, ...]:
    inputs = values(recording, signals.INPUT_SPREAD, stream)
    if inputs.size and float(inputs.max()) <= _ROUNDING:
        equal = Evidence(
            text=_EQUAL(),
            signal=signals.INPUT_SPREAD.name,
            label=stream,
            value=0.0,
            expected=_EXPECTED_INPUT(),
        )
        return (equal,)
    names = silent_inputs(recording, stream)[:1]
    return tuple(
        Evidence(
            text=_SILENT(name=name),
            signal=signals.GRADIENT_NORM_PARAMETER.name,
            label=name,
            value=0.0,
            expected=_EXPECTED_INPUT(),
        )
        for name in names
    )


RULE = Rule(
    code="input-has-no-effect",
    severity="error",
    title=_TITLE,
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "class-imbalance",
        "loss-at-chance",
        "loss-below-chance",
        "overfitting",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """Dead units: the loss stays at ln 10, and all predictions of a batch are equal."""
    return _planted(flat(), every(20, 600, 0.0))


def healthy() -> Recording:
    """A head that begins at zero: the first predictions are equal, those after the first updates are not."""
    return _planted(falling(), every(20, 600, [0.0, *[0.4] * 29]))


def _planted(loss: Floats, spread: tuple) -> Recording:
    series: Planted = {
        (signals.PREDICTION_SPREAD, "0/0"): spread,
        (signals.TARGET_STD, "0/0"): every(20, 600, 2.9),
        (signals.INPUT_PRINT, "0"): every(20, 600, range(30)),
    }
    term = PlantedTerm(chance=2.303, chance_error=0.001, contract={"task": "multi-class", "unit": "nats"})
    return record(loss, terms=[term], series=series)
