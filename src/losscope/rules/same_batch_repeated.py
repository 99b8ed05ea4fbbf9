"""``same-batch-repeated``: training sees one batch again and again, although there are more.

**What it says.** Every sampled update used the same batch although the data loader has many; or the inputs stay the
same while the targets change, or the reverse, and nothing is learnt.

**Statistic.** Fingerprints of what enters the first layers, and of the targets, at the sampled updates: a fixed
random projection, equal to the last bit for equal batches. No threshold. Targets that stay while inputs change are a
finding only where the loss is at chance or does not fall; so are inputs that stay, where no loader is known to have
more.

**Source.** Identity. ``next(iter(loader))`` makes a new iterator, which begins with the first batch.

**Example.** ``x, y = next(iter(loader))`` in the training loop, with a loader that does not shuffle; a loop over
``xb, yb`` that calls ``model(x)``; ``torch.manual_seed(0)`` before each batch is drawn.

**Remedy.** Iterate with ``for x, y in loader:`` and use these names in the loop.

**False alarms.** Full batches on purpose, and batches cut by hand, are silent: that there are more samples is only
known of a loader. One batch that was taken once before the loop, as a check that the model can fit it, is mentioned
as context. Constant targets of critics and fixed coordinates are silent while something is learnt.
"""

from losscope.core.finding import Evidence, Finding, NotJudged, Where
from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.signals import Signal
from losscope.rules.deficit import learning_deficit
from losscope.rules.planted import PLACE, Planted, every, falling, record
from losscope.rules.reasons import no_loss, no_series
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import coupled, line_of, main_stream, values
from losscope.rules.terms import data_terms
from losscope.rules.training_data import is_one, one_loader, vary

_TITLE = Text(
    en="Every update is made with the same batch, one of {batches}",
    zh="每次更新都使用同一个批次（共有 {batches} 个批次）",
)
_ONE_CHECK = Text(
    en="One batch, taken once, was trained on all the time; the loader has {batches}",
    zh="训练始终使用事先取出的同一个批次；数据加载器共有 {batches} 个批次",
)
_INPUTS = Text(
    en="The inputs are the same at every update while the targets change",
    zh="每次更新的输入都相同，而目标在变化",
)
_TARGETS = Text(
    en="The targets are the same at every update while the inputs change",
    zh="每次更新的目标都相同，而输入在变化",
)
_EVIDENCE = Text(
    en="the same fingerprint of the {what} at all {count} sampled updates",
    zh="全部 {count} 次采样更新中{what_zh}的指纹都相同",
)
_EXPECTED = Text(en="another batch at every update", zh="每次更新使用不同的批次")
_REMEDY = Text(
    en="Iterate over the loader: `for x, y in loader:`. `next(iter(loader))` starts again with the first batch "
    "each time; "
    "and do not set the seed inside the loop.",
    zh="请遍历数据加载器：`for x, y in loader:`。`next(iter(loader))` 每次都从第一个批次重新开始；"
    "也不要在循环内设置随机种子。",
)
_REMEDY_CHECK = Text(
    en="As a check that the model can fit one batch this is fine. To train, iterate: `for x, y in loader:`.",
    zh="若是为了检查模型能否拟合一个批次，这没有问题。正式训练请遍历：`for x, y in loader:`。",
)
_REMEDY_STALE = Text(
    en="Use the names of the loop variables: the {what} come from a variable that was set before the loop and is not "
    "changed in it.",
    zh="请使用循环变量的名字：{what_zh}来自循环之前设置、循环中未改变的变量。",
)
_WORDS: dict[str, tuple[str, str]] = {"inputs": ("inputs", "输入"), "targets": ("targets", "目标")}


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording)
    if stream is None:
        return no_loss()
    inputs = values(recording, signals.INPUT_PRINT, stream)
    if inputs.size < 3:
        return no_series(signals.INPUT_PRINT.name)
    judged = data_terms(recording, stream)
    prints = [p for t in judged if (p := values(recording, signals.TARGET_PRINT, t.label)).size >= 3]
    spread = values(recording, signals.INPUT_SPREAD, stream)
    if spread.size and not spread.max() > 0:  # not even the samples of one batch differ: input-has-no-effect
        return []
    same = is_one(inputs)
    if same and all(map(is_one, prints)):
        return _whole_batch(recording, stream, inputs.size)
    stale = "inputs" if same and any(map(vary, prints)) else None
    if stale is None and vary(inputs) and len(judged) == len(prints) == 1 and is_one(prints[0]):
        stale = "targets"
    if stale is None or coupled(recording) > 1:
        return []
    if stale == "targets" and _constant(recording, judged[0].label):
        return []
    if stale == "targets" or not _among_many(recording, stream):
        deficit = learning_deficit(recording)
        if deficit is None or isinstance(deficit, NotJudged):
            return deficit or []
    title, signal = (
        (_INPUTS(), signals.INPUT_PRINT) if stale == "inputs" else (_TARGETS(), signals.TARGET_PRINT)
    )
    word, word_zh = _WORDS[stale]
    label = stream if stale == "inputs" else judged[0].label
    evidence = _evidence(signal, label, stale, inputs.size if stale == "inputs" else prints[0].size)
    remedy = _REMEDY_STALE(what=word, what_zh=word_zh)
    return [_finding(title, evidence, remedy, 0.9, line_of(recording, stream, "anatomy"))]


def _among_many(recording: Recording, stream: str) -> bool:
    """Whether a loader has several batches, of which the inputs are as many different samples as there are targets."""
    loader, spread = one_loader(recording), values(recording, signals.INPUT_SPREAD, stream)
    return loader is not None and (loader.batches or 0) > 1 and spread.size >= 3 and bool(spread.min() > 0)


def _constant(recording: Recording, label: str) -> bool:
    """Targets that are one number for all samples are another finding."""
    low, high = (values(recording, s, label) for s in (signals.TARGET_MIN, signals.TARGET_MAX))
    return low.size > 0 and bool((low == high[: low.size]).all())


def _whole_batch(recording: Recording, stream: str, count: int) -> Outcome:
    """Inputs and targets are always the same: known to be too few only where a loader has more."""
    loader = one_loader(recording)
    if loader is None or loader.batches is None or loader.batches < 2:
        return []
    evidence = _evidence(signals.INPUT_PRINT, stream, "inputs", count)
    started = len(recording.series(signals.EPOCH, ""))
    if started > 1:
        return [_finding(_TITLE(batches=loader.batches), evidence, _REMEDY(), 0.97, loader.where)]
    title = _ONE_CHECK(batches=loader.batches)
    found = _finding(title, evidence, _REMEDY_CHECK(), 0.9, loader.where, context=True)
    return [found]


def _evidence(signal: Signal, label: str, what: str, count: int) -> Evidence:
    word, word_zh = _WORDS[what]
    return Evidence(
        text=_EVIDENCE(what=word, what_zh=word_zh, count=count),
        signal=signal.name,
        label=label,
        value=1.0,
        expected=_EXPECTED(),
    )


def _finding(
    title: Message,
    evidence: Evidence,
    remedy: Message,
    confidence: float,
    place: Where | None,
    *,
    context: bool = False,
) -> Finding:
    return RULE.finding(
        title=title,
        severity="info" if context else "error",
        confidence=confidence,
        evidence=(evidence,),
        remedy=remedy,
        where=place,
    )


RULE = Rule(
    code="same-batch-repeated",
    severity="error",
    title=Text(en="Every update is made with the same batch", zh="每次更新都使用同一个批次"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "input-has-no-effect",
        "loss-at-chance",
        "loss-below-chance",
        "overfitting",
        "plateau-above-floor",
    ),
)


def broken() -> Recording:
    """``next(iter(loader))`` at every update: a hundred iterators, and always the first of 20 batches."""
    return _planted(every(1, 600, range(600)))


def healthy() -> Recording:
    """The same loader, iterated."""
    return _planted(every(20, 600, range(30)), changes=True)


def _planted(starts: tuple, *, changes: bool = False) -> Recording:
    loader = {"kind": "loader", "sampler": "SequentialSampler", "samples": 640, "batches": 20, "where": PLACE}
    prints = every(20, 600, range(30) if changes else 17.25)
    series: Planted = {
        (signals.EPOCH, ""): starts,
        (signals.INPUT_PRINT, "0"): prints,
        (signals.TARGET_PRINT, "0/0"): prints,
    }
    return record(falling(), series=series, events=[loader])
