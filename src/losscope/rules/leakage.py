"""``leakage``: the answer is in the input, or validation is made with samples that were trained on.

**What it says.** A column of the input is the target; or the data of an evaluation share samples with the data loader
that feeds training, so that its loss says nothing about new data.

**Statistic.** None: a column that equals the target (for class labels: up to scale and offset) in every sampled batch,
the same column each time; indices of subsets of one data set, or rows of memory, that both loaders hold.

**Source.** Identity. Kaufman et al. (2012), doi:10.1145/2382577.2382579; Kapoor and Narayanan (2023),
arXiv:2207.07048.

**Example.** ``x = table.values`` with the target still in the table; ``train = DataLoader(dataset)`` beside
``DataLoader(Subset(dataset, validation))``.

**Remedy.** Take the column out of the input; split once, and use the parts alone.

**False alarms.** An autoencoder, whose target is all of the input, and inputs of one column are silent; so is an
evaluation on a part of the training data beside one on other data, and one on the training loader itself. Copies of
samples in other memory are not seen.
"""

import numpy as np

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.evaluations import held_out_labels
from losscope.rules.planted import PLACE, Planted, every, falling, record
from losscope.rules.reasons import no_loss
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import main_stream, values, where
from losscope.rules.terms import terms

_LOOKS = 3
_TITLE = Text(
    en="The target is in the input: column {column} tells it", zh="目标包含在输入中：第 {column} 列就是目标"
)
_EVIDENCE = Text(
    en="column {column} of the input tells the target of every sample in all {count} sampled batches",
    zh="在全部 {count} 个采样批次中，输入的第 {column} 列给出了每个样本的目标",
)
_EXPECTED = Text(en="-1: no column tells the target", zh="-1：没有任何一列给出目标")
_REMEDY = Text(
    en="Take column {column} (counted from 0) out of the input.",
    zh="请从输入中去掉第 {column} 列（从 0 数起）。",
)
_TITLE_SHARED = Text(
    en="Validation is made with samples that are trained on: {shared} of {samples}",
    zh="验证使用了训练过的样本：{samples} 个中有 {shared} 个",
)
_EVIDENCE_SHARED = Text(
    en="{shared} of the {samples} samples of the evaluation loader are those of the training loader",
    zh="评估数据加载器的 {samples} 个样本中有 {shared} 个也在训练数据加载器中",
)
_EXPECTED_SHARED = Text(en="no sample in both", zh="两者没有共同样本")
_REMEDY_SHARED = Text(
    en="Split once, and give each loader its own part: train, val = random_split(dataset, [0.8, 0.2]); "
    "DataLoader(train), "
    "not DataLoader(dataset).",
    zh="只划分一次，各加载器使用各自的部分：train, val = random_split(dataset, [0.8, 0.2])；使用 "
    "DataLoader(train) 而不是 "
    "DataLoader(dataset)。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording)
    if stream is None:
        return no_loss()
    return [*_columns(recording, stream), *_shared(recording)][:1]


def _columns(recording: Recording, stream: str) -> list[Finding]:
    for term in terms(recording, stream):
        columns = values(recording, signals.TARGET_COLUMN, term.label)
        if columns.size < _LOOKS or columns[0] < 0 or np.ptp(columns) > 0:
            continue
        column = int(columns[0])
        evidence = Evidence(
            text=_EVIDENCE(column=column, count=int(columns.size)),
            signal=signals.TARGET_COLUMN.name,
            label=term.label,
            value=float(column),
            expected=_EXPECTED(),
        )
        title, remedy = _TITLE(column=column), _REMEDY(column=column)
        return [
            RULE.finding(title=title, confidence=0.95, evidence=(evidence,), remedy=remedy, where=term.where)
        ]
    return []


def _shared(recording: Recording) -> list[Finding]:
    for event in recording.events_of("shared-samples"):
        shared, samples = event.get("shared"), event.get("samples")
        if not isinstance(shared, int) or not isinstance(samples, int) or shared < 1:
            continue
        whole = (
            shared >= samples
        )  # a part of the training data may be evaluated on purpose, beside other data
        if whole and len(held_out_labels(recording)) > 1:
            continue
        evidence = Evidence(
            text=_EVIDENCE_SHARED(shared=shared, samples=samples),
            signal=signals.EVALUATION_LOSS.name,
            value=float(shared),
            expected=_EXPECTED_SHARED(),
        )
        title = _TITLE_SHARED(shared=shared, samples=samples)
        confidence = 0.85 if whole else 0.97
        return [
            RULE.finding(
                title=title,
                confidence=confidence,
                evidence=(evidence,),
                remedy=_REMEDY_SHARED(),
                where=where(event),
            )
        ]
    return []


RULE = Rule(
    code="leakage",
    severity="error",
    title=Text(en="The answer leaks into what the model sees", zh="答案泄漏到模型所见的数据中"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(),
)


def broken() -> Recording:
    """A fifth of the validation samples are trained on."""
    event = {
        "kind": "shared-samples",
        "shared": 20,
        "samples": 100,
        "sampler": "SequentialSampler",
        "where": PLACE,
    }
    return record(falling(), events=[event], validation=np.linspace(2.0, 0.4, 12))


def healthy() -> Recording:
    """A column that happens to be the target in some batches of few samples, and in others is not."""
    series: Planted = {(signals.TARGET_COLUMN, "0/0"): every(20, 600, [4.0] * 10 + [-1.0] * 20)}
    return record(falling(), series=series, validation=np.linspace(2.0, 0.4, 12))
