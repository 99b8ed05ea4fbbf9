"""``posterior-collapse``: the latent code of a variational autoencoder says nothing about the input.

**What it says.** The divergence between the codes and the prior is next to zero: the decoder works without the code.

**Statistic.** An identity: the mutual information of input and code is at most the mean divergence,
I(x; z) ≤ E KL(q(z|x) ‖ p(z)). Reported where the mean divergence per sample, in the median over the last fifth of the
run (at least three values), is below 0.1 nats, a seventh of what it takes to tell two kinds of samples apart (ln 2).
Not judged below 100 updates.

**Source.** Bowman et al. (2016), arXiv:1511.06349; Hoffman and Johnson (2016), *ELBO surgery*, for the identity; Burda
et al. (2016), arXiv:1509.00519, who count a unit as active from a variance of 0.01 on, 0.005 nats.

**Example.** The reconstruction is a mean over 784 pixels, the divergence a sum over 32 dimensions: its weight is 784
times too large.

**Remedy.** Sum the reconstruction over the pixels as well, raise the weight of the divergence from 0 during the first
epochs, or leave each dimension some nats for free.

**False alarms.** Silent while the divergence is small only at the beginning (annealed weights), and on divergences
whose reduction does not tell the number of dimensions.
"""

import numpy as np

from losscope.core.finding import Evidence
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PlantedTerm, falling, normal, record
from losscope.rules.reasons import too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.robust import Floats
from losscope.rules.streams import main_stream, updates
from losscope.rules.terms import TermView, terms

_NATS, _UPDATES, _VALUES = 0.1, 100, 3
_TITLE = Text(
    en="The latent code is unused: it holds at most {nats:.2g} nats about a sample",
    zh="隐变量未被使用：其中关于样本的信息至多为 {nats:.2g} 奈特",
)
_EVIDENCE = Text(
    en="divergence from the prior per sample: {nats:.2g} nats at the end, {most:.2g} at most",
    zh="每个样本与先验的散度：最终为 {nats:.2g} 奈特，最大为 {most:.2g}",
)
_EXPECTED = Text(
    en="more than ln 2 = 0.69, which two kinds of samples take", zh="大于 ln 2 = 0.69，即区分两类样本所需"
)
_REMEDY = Text(
    en="Sum the reconstruction over its elements, as the divergence is summed over the dimensions, and raise the "
    "weight of the divergence slowly from 0 (it is {weight:.3g}).",
    zh="像散度对各维求和那样，把重构损失对其元素求和，并让散度的权重从 0 慢慢增大（现为 {weight:.3g}）。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording) or "0"
    judged = [t for t in terms(recording, stream) if t.kind == "gaussian_kl" and t.coefficient > 0]
    if not judged:
        return []
    seen = updates(recording, stream)
    if seen < _UPDATES:
        return too_few(seen, _UPDATES)
    for term in judged:
        scale = _per_sample(term)
        recent = term.recent()
        if scale is None or recent.size < _VALUES:
            continue
        nats, most = scale * float(np.median(recent)), scale * float(term.values.max())
        if nats < _NATS:
            evidence = Evidence(
                text=_EVIDENCE(nats=nats, most=most),
                signal=signals.TERM_VALUE.name,
                label=term.label,
                value=nats,
                expected=_EXPECTED(),
            )
            remedy = _REMEDY(weight=term.coefficient)
            title = _TITLE(nats=nats)
            return [
                RULE.finding(
                    title=title, confidence=0.85, evidence=(evidence,), remedy=remedy, where=term.where
                )
            ]
    return []


def _per_sample(term: TermView) -> float | None:
    """By what the value is to be multiplied for nats per sample; the prediction is [samples, dimensions …]."""
    shape = [int(n) for n in term.prediction.get("shape") or ()]
    if len(shape) < 2 or not all(shape):
        return None
    factors = {"mean": float(np.prod(shape[1:])), "batchmean": 1.0, "sum": 1.0 / shape[0]}
    return factors.get(term.reduction)


RULE = Rule(
    code="posterior-collapse",
    severity="warning",
    title=Text(en="The latent code is unused", zh="隐变量未被使用"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=("penalty-dominates", "plateau-above-floor"),
)


def _planted(divergence: Floats) -> Recording:
    latent = {"reduction": "batchmean", "prediction": {"shape": [64, 16], "activation": None}}
    reconstruction = falling(end=0.4)
    parts = [
        PlantedTerm(kind="mse", values=reconstruction, chance=2.5),
        PlantedTerm(kind="gaussian_kl", values=divergence, floor=0.0, contract=latent),
    ]
    return record(reconstruction + divergence, terms=parts)


def broken() -> Recording:
    """Sixteen dimensions that start with 0.8 nats and have 0.004 left."""
    return _planted(falling(start=0.8, end=0.004))


def healthy() -> Recording:
    """The code takes up 0.6 nats a dimension while the reconstruction gets better."""
    return _planted(9.6 * (1 - np.exp(-np.arange(600) / 40)) * np.exp(0.05 * normal(600, 1)))
