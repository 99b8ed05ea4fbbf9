"""``missing-activation``: a loss of probabilities is given scores that are none.

**What it says.** ``nll_loss`` and ``kl_div`` take logarithms of probabilities, ``binary_cross_entropy`` probabilities;
they got raw scores of a layer, or probabilities without the logarithm. Raised scores then lower the loss without limit,
or the part that was clamped to fit gets no gradient.

**Statistic.** None: read off the autograd graph and the scores, which are no logarithms of probabilities: along the
class axis Σ exp ≠ 1. For losses by hand a logarithm is taken of a linear layer's output, or scores are weighted by
targets as in t·ln t − t·s.

**Source.** ``torch.nn.NLLLoss``, ``KLDivLoss`` and ``BCELoss``. −s_y is linear in the scores and has no minimum.

**Example.** ``F.nll_loss(model(x), y)`` with a model that ends in a linear layer: the loss falls to −50 and
further, and the accuracy stands still.

**Remedy.** Use the loss that takes logits (``cross_entropy``, ``binary_cross_entropy_with_logits``), or put
``log_softmax`` (a sigmoid for ``binary_cross_entropy``) before this one.

**False alarms.** Silent on log-probabilities however they were made (their exponentials sum to one), on mixtures of
probabilities, on squared differences of logarithms, on scores of critics and policies, and on logarithms of densities.
"""

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PlantedTerm, falling, record
from losscope.rules.reasons import no_event
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import events_of, streams
from losscope.rules.terms import TermView, terms

CODE = "missing-activation"
_DENSITIES = ("Add", "Div", "Logsumexp", "Mul", "Sub", "Sum")
"""What sums and products make may be logarithms of densities, such as those of a generative classifier."""

_TITLE = Text(
    en="{kind} gets scores where it expects {wanted}",
    zh="{kind} 得到的是原始得分，而它需要{wanted_zh}",
)
_TITLE_PROBABILITIES = Text(
    en="{kind} gets probabilities where it expects their logarithms",
    zh="{kind} 得到的是概率，而它需要概率的对数",
)
_EVIDENCE = Text(
    en="the loss is {value:.4g}, and its input is the output of {source}",
    zh="损失为 {value:.4g}，其输入是 {source} 的输出",
)
_EVIDENCE_NEGATIVE = Text(
    en="the loss is {value:.4g}; of logarithms of probabilities it could not fall below 0",
    zh="损失为 {value:.4g}；若输入为概率的对数，损失不可能低于 0",
)
_EXPECTED = Text(en="probabilities that sum to 1, or their logarithms", zh="和为 1 的概率，或其对数")
_REMEDY_CLASSES = Text(
    en="Use F.cross_entropy(scores, y), or put F.log_softmax(scores, dim=1) before this loss.",
    zh="改用 F.cross_entropy(scores, y)，或在此损失前加上 F.log_softmax(scores, dim=1)。",
)
_REMEDY_BINARY = Text(
    en="Use F.binary_cross_entropy_with_logits(scores, y), or put torch.sigmoid(scores) before this loss.",
    zh="改用 F.binary_cross_entropy_with_logits(scores, y)，或在此损失前加上 torch.sigmoid(scores)。",
)
_REMEDY_HAND = Text(
    en="Apply log_softmax (of a single output logsigmoid) to the scores before they are multiplied by the targets, or "
    "use the library's loss on logits.",
    zh="在与目标相乘之前对得分使用 log_softmax（单个输出用 logsigmoid），或直接使用库中接受 logits 的损失。",
)


def judge(recording: Recording) -> Outcome:
    if not recording.events_of("anatomy"):
        return no_event("anatomy")
    for stream in streams(recording):
        for index, term in enumerate(terms(recording, stream)):
            source = _source(recording, stream, index)
            if CODE in term.notes and source not in _DENSITIES:
                return [_finding(term, source)]
    return []


def _source(recording: Recording, stream: str, index: int) -> str:
    """The operation that the term's first node takes its input from."""
    described = events_of(recording, "anatomy", stream)[-1]["terms"][index]
    chain = [str(name) for name in described.get("chain") or ()]
    return chain[1].partition("Backward")[0] if len(chain) > 1 and described["kind"] == "nll" else ""


def _finding(term: TermView, source: str) -> Finding:
    value = float(term.values[-5:].mean()) if term.values.size else 0.0
    negative = value < 0 and term.kind == "nll"
    text = (
        _EVIDENCE_NEGATIVE(value=value) if negative else _EVIDENCE(value=value, source=_layer(term, source))
    )
    kind = "nll_loss" if term.kind == "nll" else "the loss" if term.kind.startswith("unknown") else term.kind
    activated = term.prediction.get("activation")
    if activated == "softmax":
        title = _TITLE_PROBABILITIES(kind=kind)
    else:
        binary = term.kind == "binary_cross_entropy"
        wanted, wanted_zh = ("probabilities", "概率") if binary else ("log-probabilities", "概率的对数")
        title = _TITLE(kind=kind, wanted=wanted, wanted_zh=wanted_zh)
    remedy = {"nll": _REMEDY_CLASSES, "binary_cross_entropy": _REMEDY_BINARY}.get(term.kind, _REMEDY_HAND)
    evidence = Evidence(
        text=text, signal=signals.TERM_VALUE.name, label=term.label, value=value, expected=_EXPECTED()
    )
    return RULE.finding(title=title, confidence=0.95, evidence=(evidence,), remedy=remedy(), where=term.where)


def _layer(term: TermView, source: str) -> str:
    activated = term.prediction.get("activation")
    names = {"Addmm": "nn.Linear", "Mm": "nn.Linear", "Convolution": "nn.Conv"}
    return str(activated) if activated else names.get(source, source or "nn.Linear")


RULE = Rule(
    code=CODE,
    severity="error",
    title=Text(en="A loss of probabilities gets raw scores", zh="概率损失得到的是原始得分"),
    judge=judge,
    consequences=(
        "diverging-loss",
        "exploding-gradient",
        "floor-above-zero",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "non-finite",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """``nll_loss`` on the output of a linear layer: the loss falls below zero."""
    contract = {"chain": ["NllLossBackward0", "AddmmBackward0"]}
    term = PlantedTerm(kind="nll", floor=None, notes=(CODE,), contract=contract)
    return record(falling(start=0.1, end=0.01) - 0.1, terms=[term])


def healthy() -> Recording:
    """Logarithms of class densities, which need not sum to one."""
    contract = {"chain": ["NllLossBackward0", "SumBackward1"]}
    return record(falling(), terms=[PlantedTerm(kind="nll", floor=None, notes=(CODE,), contract=contract)])
