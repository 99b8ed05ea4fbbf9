"""``labels-unrelated``: the loss does not depend on which input has which label.

**What it says.** The model is alive and moves, but its predictions fit their own targets no better than those of
other samples, and successive batches ask for nothing in common: inputs and labels do not belong together.

**Statistic.** At each sampled update the advantage of the true pairing over a random one, in standard errors of the
exact permutation distribution; added up over the second half of the run it is standard normal if labels are
unrelated. Reported where it is below 3 and the advantage, with its error, below 5 % of what there is to gain, the
loss is at chance by its own test, the gradients of successive batches have no positive cosine (95 % interval), the
predictions differ between samples, and the parameters have moved by half of their own size.

**Source.** Permutation tests: Hoeffding (1951), doi:10.1214/aoms/1177729446; labels of networks: Zhang et al. (2017),
arXiv:1611.03530. The experiment ``permuted-labels`` confirms or refutes it.

**Example.** ``x = x[torch.randperm(n)]; y = y[torch.randperm(n)]``; labels of a sorted file joined with inputs of an
unsorted one; ``glob`` without ``sorted``.

**Remedy.** Print a few inputs next to their labels, right where the loss is computed.

**False alarms.** Data without any signal, such as a fair coin, are indeed unrelated. Silent where the step size
explains it: too small, and gradients agree; too large, and the loss has been above chance. Parity and other tasks
whose gradient vanishes at first look the same until they are learnt.
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.deficit import LONG_ENOUGH, long_enough
from losscope.rules.loss_at_chance import at_chance
from losscope.rules.planted import Planted, every, falling, flat, normal, record
from losscope.rules.reasons import no_series, too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.robust import Floats
from losscope.rules.streams import progress, updates, values
from losscope.rules.terms import TermView, data_terms, late_values

_LEAST = 5  # looks in the second half of the run
FITS, _ERRORS = 3.0, 2.0  # standard errors
_WORTH = 0.05  # of what there is to gain, as for a loss at chance
_ALIVE = 1e-3
_MOVED = 0.5
_SETBACK = 3.0
_WEAK = Text(
    en="the pairing of predictions and targets was looked at {count} times, which is too few to tell",
    zh="预测与目标的配对只检查了 {count} 次，不足以判断",
)
_TITLE = Text(
    en="Inputs and labels do not belong together: predictions fit any other sample's label as well as their own",
    zh="输入与标签不对应：预测与其他样本的标签同样吻合",
)
_EVIDENCE = Text(
    en="the true pairing is {score:.2f} standard errors better than a random one, over {count} batches; it is worth "
    "{gain:.2%} of what the labels hold",
    zh="在 {count} 个批次上，真实配对只比随机配对好 {score:.2f} 个标准误；其收益为标签信息量的 {gain:.2%}",
)
_EXPECTED = Text(en="more than 3 once something is learnt", zh="学到内容后应大于 3")
_ALIGNED = Text(
    en="mean cosine of the gradients of successive batches: {value:.3f} ± {error:.3f}",
    zh="相邻批次梯度的平均余弦：{value:.3f} ± {error:.3f}",
)
_EXPECTED_ALIGNED = Text(en="above 0 while there is something to learn", zh="尚有可学内容时应大于 0")
_REMEDY = Text(
    en="Print a few inputs beside their labels where the loss is computed. Look for a shuffle, a sort or a join that "
    "touches only one of them.",
    zh="在计算损失处打印几个输入及其标签；检查是否有只作用于其中一方的打乱、排序或合并操作。",
)


def judge(recording: Recording) -> Outcome:
    stream = progress(recording)
    if isinstance(stream, NotJudged):
        return stream
    judged = data_terms(recording, stream)
    if len(judged) != 1 or not len(recording.series(signals.PAIRING, judged[0].label)):
        return no_series(signals.PAIRING.name)
    if not long_enough(recording, stream):
        return too_few(updates(recording, stream), LONG_ENOUGH)
    term = judged[0]
    if at_chance(recording, term) is None or not in_motion(recording, stream, term):
        return []
    scores, gains = (late_values(recording, s, term) for s in (signals.PAIRING, signals.PAIRING_GAIN))
    if scores.size < _LEAST:
        return NotJudged(_WEAK(count=int(scores.size)))
    score, gain = float(scores.sum() / np.sqrt(scores.size)), float(gains.mean())
    if score > FITS or gain > _WORTH:
        return []
    if gain + _error(scores, gains) > _WORTH:
        return NotJudged(_WEAK(count=int(scores.size)))
    cosines = values(recording, signals.ALIGNMENT, stream)
    cosines = cosines[cosines.size // 2 :]
    if cosines.size < _LEAST:
        return NotJudged(_WEAK(count=int(cosines.size)))
    mean, error = float(cosines.mean()), float(cosines.std(ddof=1) / np.sqrt(cosines.size))
    if mean - _ERRORS * error > 0:
        return []
    text = _EVIDENCE(score=score, count=int(scores.size), gain=gain)
    paired = Evidence(
        text=text, signal=signals.PAIRING.name, label=term.label, value=score, expected=_EXPECTED()
    )
    aligned = Evidence(
        text=_ALIGNED(value=mean, error=error),
        signal=signals.ALIGNMENT.name,
        label=stream,
        value=mean,
        expected=_EXPECTED_ALIGNED(),
    )
    return [RULE.finding(confidence=0.75, evidence=(paired, aligned), remedy=_REMEDY(), where=term.where)]


def _error(scores: Floats, gains: Floats) -> float:
    """The gain that two standard errors of the sum of all looks amount to."""
    known = np.abs(scores) > 1e-3
    if not known.any():
        return float("inf")
    errors = np.abs(gains[known] / scores[known])
    return _ERRORS * float(np.sqrt(np.sum(errors**2)) / known.sum())


def in_motion(recording: Recording, stream: str, term: TermView) -> bool:
    """Predictions differ between samples, the parameters went somewhere, and the loss was never thrown far off."""
    spread, ratio = (
        late_values(recording, signals.PREDICTION_SPREAD, term),
        values(recording, signals.UPDATE_RATIO, stream),
    )
    if spread.size == 0 or ratio.size == 0 or float(np.median(spread)) < _ALIVE:
        return False
    after = term.values[term.values.size // 10 :]
    thrown = after.size > 0 and float(np.max(after)) > _SETBACK * (term.chance or 0.0)
    return float(np.median(ratio)) * term.updates >= _MOVED and not thrown


RULE = Rule(
    code="labels-unrelated",
    severity="error",
    title=_TITLE,
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "class-imbalance",
        "loss-at-chance",
        "loss-below-chance",
        "memorising",
        "overfitting",
        "plateau-above-floor",
    ),
)


def broken() -> Recording:
    """Labels shuffled against the inputs: the loss stays at ln 10, and so does the pairing at 0."""
    return _planted(flat(), normal(30, 1), 0.02 * normal(30, 2))


def healthy() -> Recording:
    """The same with labels that belong to their inputs."""
    return _planted(falling(), 8 + normal(30, 1), 0.1 + 0.02 * normal(30, 2))


def _planted(loss: Floats, scores: Floats, cosines: Floats) -> Recording:
    series: Planted = {
        (signals.PAIRING, "0/0"): every(20, 600, scores),
        (signals.PAIRING_GAIN, "0/0"): every(20, 600, 0.01 * scores),
        (signals.PREDICTION_SPREAD, "0/0"): every(20, 600, 0.3),
        (signals.UPDATE_RATIO, "0"): every(20, 600, 0.01),
        (signals.ALIGNMENT, "0"): every(20, 600, cosines),
    }
    return record(loss, series=series)
