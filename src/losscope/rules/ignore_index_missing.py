"""``ignore-index-missing``: padding is learnt as if it were a label.

**What it says.** Sequences of different lengths were filled up with one class, and the loss counts these places. As the
most frequent class it is what the model learns first: the loss falls and the accuracy rises with the share of padding.

**Statistic.** An identity: in most batches that were looked at the most frequent class stands at the ends of sequences
and nowhere else (:mod:`losscope.probes.padding` finds the rows of flattened targets again), and neither
``ignore_index`` nor a class weight of 0 nor a mask takes it out.

**Source.** ``torch.nn.CrossEntropyLoss``: ``ignore_index`` is −100 unless it is given, a class that no label has.

**Example.** ``F.cross_entropy(logits.view(-1, V), targets.view(-1))`` for sentences padded with 0: two thirds of the
targets are 0, and the model answers with padding.

**Remedy.** ``F.cross_entropy(..., ignore_index=0)``.

**False alarms.** Silent where padding is −100 or any ``ignore_index`` that is given, where weights or a mask take it
out, where another class is more frequent, on sorted labels, on labels that stay at one class after an onset, on maps
of pixels, and on padded predictions of a CTC loss. Padding that shall be learnt (a model of fixed length that has to
say where its answer ends) is reported: a warning, not an error.
"""

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.numbers import percent
from losscope.rules.planted import Planted, PlantedTerm, every, falling, record
from losscope.rules.reasons import no_event
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import streams, values
from losscope.rules.terms import TermView, terms

_MASKED = frozenset({"masked-mean", "weighted-mean"})
_TITLE = Text(
    en="Padding is learnt as a label: class {label} fills {share} % of the targets, at the ends of sequences",
    zh="填充被当作标签学习：类别 {label} 占目标的 {share}%，且只出现在序列末尾",
)
_EVIDENCE = Text(
    en="class {label} is {share} % of the targets and stands only at the ends of sequences; {kind} counts it "
    "(ignore_index is {ignored})",
    zh="类别 {label} 占目标的 {share}%，且只出现在序列末尾；{kind} 计入了它（ignore_index 为 {ignored}）",
)
_EXPECTED = Text(en="padding that does not count", zh="填充位置不计入损失")
_REMEDY = Text(
    en="Leave the padding out: cross_entropy(logits, targets, ignore_index={label}).",
    zh="排除填充：cross_entropy(logits, targets, ignore_index={label})。",
)


def judge(recording: Recording) -> Outcome:
    if not recording.events_of("anatomy"):
        return no_event("anatomy")
    for stream in streams(recording):
        for term in terms(recording, stream):
            found = _padded(recording, term)
            if found is not None:
                return [_finding(term, *found)]
    return []


def _padded(recording: Recording, term: TermView) -> tuple[int, float] | None:
    """(class, mean share) where most batches are padded, with one class that counts."""
    shares = values(recording, signals.PADDING_SHARE, term.label)
    classes = values(recording, signals.PADDING_CLASS, term.label)
    if classes.size == 0 or 2 * classes.size < shares.size or (classes != classes[0]).any():
        return None
    label = int(classes[0])
    weights = term.options.get("weight")
    if isinstance(weights, list | tuple):
        left_out = label < len(weights) and weights[label] == 0
    else:
        left_out = weights is not None
    if left_out or term.options.get("ignore_index") == label or term.reduction in _MASKED:
        return None
    return label, float(shares.mean())


def _finding(term: TermView, label: int, share: float) -> Finding:
    ignored = term.options.get("ignore_index")
    evidence = Evidence(
        text=_EVIDENCE(
            label=label, share=percent(share), kind=term.kind, ignored="-" if ignored is None else ignored
        ),
        signal=signals.PADDING_SHARE.name,
        label=term.label,
        value=share,
        expected=_EXPECTED(),
    )
    return RULE.finding(
        title=_TITLE(label=label, share=percent(share)),
        confidence=0.95,
        evidence=(evidence,),
        remedy=_REMEDY(label=label),
        where=term.where,
    )


RULE = Rule(
    code="ignore-index-missing",
    severity="warning",
    title=Text(en="Padding is learnt as a label", zh="填充被当作标签学习"),
    judge=judge,
    consequences=("loss-at-chance", "plateau-above-floor"),
)


def broken() -> Recording:
    """Sentences padded with 0, which the loss counts."""
    return _sentences(-100)


def healthy() -> Recording:
    """The same sentences; 0 is ignored."""
    return _sentences(0)


def _sentences(ignored: int) -> Recording:
    term = PlantedTerm(options={"num_classes": 50, "target": "class", "ignore_index": ignored})
    series: Planted = {
        (signals.PADDING_SHARE, "0/0"): every(100, 600, 0.62),
        (signals.PADDING_CLASS, "0/0"): every(100, 600, 0.0),
    }
    return record(falling(), terms=[term], series=series)
