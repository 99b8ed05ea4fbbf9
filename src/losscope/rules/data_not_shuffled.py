"""``data-not-shuffled``: successive batches are of different classes, because the data come sorted.

**What it says.** Two samples of a batch share their class far more often than two samples of different batches. Each
update teaches the class of the moment and unlearns the others; the training loss looks better than the model is.

**Statistic.** Class counts of the sampled batches (modulo 32). The χ² test of homogeneity at a level of 10⁻⁶, and the
intraclass correlation (P_within − P_between) / (1 − P_between) above 0.25, where P is the chance that two samples
share their class. For real targets the share of their variance that lies between batches, above 0.5.

**Source.** Pearson (1900); intraclass correlation: Fisher (1925), as κ of Landis and Koch (1977),
doi:10.2307/2529310, for whom 0.2 is the end of "slight". Order of data: Bengio (2012), arXiv:1206.5533, section 2.

**Example.** ``DataLoader(dataset)`` without ``shuffle=True`` over a folder of images, class after class; ``for i in
range(0, n, 64): x[i:i + 64]`` of sorted rows.

**Remedy.** ``DataLoader(dataset, shuffle=True)``, or a new ``torch.randperm(n)`` for each pass.

**False alarms.** Unsorted data that are not shuffled are silent. A complaint needs a loader that reads in order, or
classes that come back in turn; tasks that are learnt one after the other, and samplers that group on purpose, are
context. So are real targets in order, as time series are, unless nothing is learnt. Tokens and pixels are not judged:
those of one sample belong together.
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged, Severity
from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.deficit import learning_deficit
from losscope.rules.planted import PLACE, Planted, PlantedTerm, every, falling, record
from losscope.rules.reasons import no_loss, no_series
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.robust import Floats
from losscope.rules.streams import main_stream, values
from losscope.rules.terms import TermView, data_terms
from losscope.rules.training_data import class_table, one_loader, training_loaders

_LEVEL, _CORRELATION, _BETWEEN = 1e-6, 0.25, 0.5
_BATCHES, _RETURNS = 6, 2
_TITLE = Text(
    en="The data are not shuffled: batches hold {within:.0%} of one class after another",
    zh="数据没有打乱：各批次依次由单一类别占据（同批两样本同类的概率为 {within:.0%}）",
)
_EVIDENCE = Text(
    en="two samples of one batch share their class with probability {within:.2f}, two of different batches with "
    "{between:.2f} ({count} batches, χ² = {chi:.3g} on {freedom} degrees of freedom)",
    zh="同一批次的两个样本同类的概率为 {within:.2f}，不同批次的为 {between:.2f}"
    "（{count} 个批次，χ² = {chi:.3g}，自由度 {freedom}）",
)
_EXPECTED = Text(en="the same probability, as for batches drawn at random", zh="两者相等，如随机抽取的批次")
_TITLE_REAL = Text(
    en="The data are not shuffled: {share:.0%} of the variance of the targets lies between batches",
    zh="数据没有打乱：目标方差的 {share:.0%} 来自批次之间",
)
_EVIDENCE_REAL = Text(
    en="of the variance of the targets {share:.2f} lies between {count} sampled batches of {size:.0f}",
    zh="在 {count} 个大小约 {size:.0f} 的采样批次中，目标方差有 {share:.2f} 来自批次之间",
)
_EXPECTED_REAL = Text(
    en="about {random:.3f} for batches drawn at random", zh="随机抽取的批次约为 {random:.3f}"
)
_REMEDY = Text(
    en="Shuffle: DataLoader(dataset, shuffle=True), or a new torch.randperm(n) for each pass.",
    zh="打乱数据：DataLoader(dataset, shuffle=True)，或每遍使用新的 torch.randperm(n)。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording)
    if stream is None:
        return no_loss()
    judged = data_terms(recording, stream)
    if not judged or not len(recording.series(signals.INPUT_SPREAD, stream)):
        return no_series(signals.INPUT_SPREAD.name)
    table = class_table(recording, judged[0].label)
    if table.size:
        return _classes(recording, judged[0], table)
    return _real(recording, judged[0]) if judged[0].task == "regression" else []


def _classes(recording: Recording, term: TermView, table: Floats) -> Outcome:
    table = table[table.sum(1) > 1]
    table = table[:, table.sum(0) > 0]
    if table.shape[0] < _BATCHES or table.shape[1] < 2:
        return []
    within, between = shares(table)
    if between >= 1 or (within - between) / (1 - between) < _CORRELATION:
        return []
    chi, freedom, level = homogeneity(table)
    if level > _LEVEL:
        return []
    loader = one_loader(recording)
    ordered = loader.in_order if loader is not None else not training_loaders(recording) and _come_back(table)
    evidence = Evidence(
        text=_EVIDENCE(within=within, between=between, count=len(table), chi=chi, freedom=freedom),
        signal=signals.TARGET_CLASS.name,
        label=term.label,
        value=within,
        expected=_EXPECTED(),
    )
    return _finding(recording, term, _TITLE(within=within), evidence, "warning" if ordered else "info")


def _real(recording: Recording, term: TermView) -> Outcome:
    found = (
        values(recording, s, term.label)
        for s in (signals.TARGET_MEAN, signals.TARGET_STD, signals.BATCH_SIZE)
    )
    means, deviations, sizes = found
    count = min(means.size, deviations.size, sizes.size)
    size = float(np.median(sizes)) if count else 0.0
    if count < _BATCHES or size < 2:
        return []
    inside = float(np.mean(deviations[:count] ** 2)) * size / (size - 1)
    total = float(np.mean(deviations[:count] ** 2) + np.var(means[:count]))
    share = 1 - inside / total if total > 0 else 0.0
    if share < _BETWEEN:
        return []
    loader, deficit = one_loader(recording), learning_deficit(recording)
    ordered = loader is not None and loader.in_order
    stuck = deficit is not None and not isinstance(deficit, NotJudged)
    evidence = Evidence(
        text=_EVIDENCE_REAL(share=share, count=count, size=size),
        signal=signals.TARGET_MEAN.name,
        label=term.label,
        value=share,
        expected=_EXPECTED_REAL(random=1 / size),
    )
    severity: Severity = "warning" if ordered and stuck else "info"
    return _finding(recording, term, _TITLE_REAL(share=share), evidence, severity)


def _finding(
    recording: Recording, term: TermView, title: Message, evidence: Evidence, severity: Severity
) -> Outcome:
    loader = one_loader(recording)
    place = loader.where if loader is not None else term.where
    return [
        RULE.finding(
            title=title,
            severity=severity,
            confidence=0.9,
            evidence=(evidence,),
            remedy=_REMEDY(),
            where=place,
        )
    ]


def shares(table: Floats) -> tuple[float, float]:
    """Chances that two different samples share their class: of one batch, and of different batches; ``[batches, "
    "K]``."""
    sizes, counts = table.sum(1), table.sum(0)
    same = float((table * (table - 1)).sum()) / float((sizes * (sizes - 1)).sum())
    pairs = float(sizes.sum() ** 2 - (sizes**2).sum())
    apart = float((counts**2).sum() - (table**2).sum()) / pairs if pairs > 0 else 1.0
    return same, apart


def homogeneity(table: Floats) -> tuple[float, int, float]:
    """χ² of homogeneity of the rows, its degrees of freedom, and the upper tail."""
    from scipy.special import chdtrc  # lazy: only for batches that are uneven

    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    chi = float(((table - expected) ** 2 / expected).sum())
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    return chi, freedom, float(chdtrc(freedom, chi))


def _come_back(table: Floats) -> bool:
    """Whether classes that gave way to others lead again: passes over sorted data, and no tasks one after the other."""
    leading = table.argmax(1)
    changes = leading[np.concatenate([[True], np.diff(leading) != 0])]
    return len(changes) - len(set(changes.tolist())) >= _RETURNS


RULE = Rule(
    code="data-not-shuffled",
    severity="warning",
    title=Text(en="The data are not shuffled", zh="数据没有打乱"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "learning-rate-too-high",
        "loss-at-chance",
        "loss-below-chance",
        "loss-spikes",
        "overfitting",
        "plateau-above-floor",
    ),
)


def broken() -> Recording:
    """Three classes, one after the other, in batches of 32."""
    return _planted(np.eye(3)[np.arange(30) % 3] * 32)


def healthy() -> Recording:
    """Batches of 32 drawn at random from the same three classes, by a loader that does not shuffle."""
    return _planted(np.random.default_rng(0).multinomial(32, [1 / 3] * 3, size=30).astype(float))


def _planted(table: Floats) -> Recording:
    loader = {"kind": "loader", "sampler": "SequentialSampler", "samples": 960, "batches": 30, "where": PLACE}
    series: Planted = {(signals.TARGET_CLASS, f"0/0/{k}"): every(20, 600, table[:, k]) for k in range(3)}
    series |= {
        (signals.INPUT_SPREAD, "0"): every(20, 600, 1.0),
        (signals.EPOCH, ""): every(30, 600, range(20)),
    }
    term = PlantedTerm(contract={"task": "multi-class", "unit": "nats"})
    return record(falling(), terms=[term], series=series, events=[loader])
