"""Do predictions fit their own targets better than those of other samples of the batch? And do they vary at all?

With A[i, j] what the loss would pay less for prediction i on target j, up to terms of i or j alone, the advantage of
the true pairing over a random permutation is the trace of the doubly centred B = A − row means − column means + mean.
Its mean over all permutations is 0 and its variance ‖B‖² / (n − 1), exactly (Hoeffding 1951,
doi:10.1214/aoms/1177729446). A is log p_i(y_j) for classes, z_i · t_j for one score per sample, and −½‖p_i − t_j‖² up
to such terms, that is p_i · t_j, for real numbers. Cost: a matrix of at most 256 × 256.
"""

import torch
from torch import Tensor

from losscope.anatomy.anatomy import Term
from losscope.probes.batches import classes, spread
from losscope.probes.probe import Probe, Sample
from losscope.probes.thinning import Turns
from losscope.recording import signals

_ROWS, _COLUMNS, _LEAST, _LIMIT = 256, 4096, 8, 1 << 20


class Pairing(Probe):
    """Records PAIRING, PAIRING_GAIN, PREDICTION_SPREAD and PREDICTION_TOP."""

    def __init__(self) -> None:
        self._turns = Turns(every=2)

    def objective(self, sample: Sample) -> None:
        if not self._turns.mine(sample.stream):
            return
        for index, term in enumerate(sample.anatomy.terms if sample.anatomy else ()):
            prediction, label = term.prediction, f"{sample.stream}/{index}"
            if (
                prediction is None
                or prediction.is_complex()
                or not prediction.ndim
                or prediction.shape[0] < 2
            ):
                continue
            sample.record(signals.PREDICTION_SPREAD, spread(prediction), label)
            self._classes(sample, term, prediction, label)
            found = affinities(term)
            if found is not None:
                score, gain = advantage(*found)
                sample.record(signals.PAIRING, score, label)
                sample.record(signals.PAIRING_GAIN, gain, label)

    def _classes(self, sample: Sample, term: Term, prediction: Tensor, label: str) -> None:
        known = classes(term)
        if known is None:
            return
        indices, count = known
        if prediction.numel() == indices.numel():
            border = 0.5 if term.prediction_is == "probabilities" else 0.0
            predicted = (prediction.reshape(-1) > border).long()
        elif prediction.shape == (indices.numel(), count):
            stride = 1 + prediction.numel() // _LIMIT
            predicted, indices = prediction[::stride].argmax(1), indices[::stride]
        else:
            return
        predicted = predicted[indices >= 0]
        if predicted.numel():
            sample.record(
                signals.PREDICTION_TOP, (predicted == predicted.mode().values).float().mean(), label
            )


def affinities(term: Term) -> tuple[Tensor, Tensor] | None:
    """A ``[n, n]`` as above, and what there is to gain: the entropy, or the variance of the targets; else ``None``."""
    prediction, target = term.prediction, term.target
    if prediction is None or target is None or term.sample_weight is not None or term.spec is None:
        return None
    if not target.ndim or prediction.shape[0] != target.shape[0] or target.is_complex():
        return None
    stride = -(-target.shape[0] // _ROWS)
    scores, wanted = (
        t[::stride].detach().reshape(-(-t.shape[0] // stride), -1) for t in (prediction, target)
    )
    if scores.shape[0] < _LEAST:
        return None
    known = classes(term)
    if known is not None and wanted.shape[1] == 1 and scores.shape[1] == known[1] > 1:
        indices = known[0][::stride]
        kept = indices >= 0
        if term.prediction_is not in ("logits", "log-probabilities"):
            return None
        counts = torch.bincount(indices[kept]).to(scores.dtype)
        # log p_i(k) is the score of k up to a term of i alone.
        return scores[:, indices[kept]][kept].float(), torch.special.entr(counts / counts.sum()).sum()
    if not target.dtype.is_floating_point or scores.shape != wanted.shape:
        return None
    if term.spec.task not in ("binary", "regression", "multi-label", "counts"):
        return None
    step = -(-scores.shape[1] // _COLUMNS)
    scores, wanted = scores[:, ::step].float(), wanted[:, ::step].float()
    centred = wanted - wanted.mean(0)
    return (scores - scores.mean(0)) @ centred.T, centred.square().sum() / len(centred)


def advantage(affinity: Tensor, most: Tensor) -> tuple[Tensor, Tensor]:
    """(trace of the centred matrix in standard deviations of a random permutation, its mean per sample by ``most``).

    Both are 0 where all predictions, or all targets, are alike.
    """
    n = affinity.shape[0]
    centred = affinity - affinity.mean(0) - affinity.mean(1, keepdim=True) + affinity.mean()
    trace = centred.diagonal().sum()
    deviation = centred.norm() / max(n - 1, 1) ** 0.5
    flat = deviation <= 8 * torch.finfo(centred.dtype).eps * affinity.abs().amax() * n**0.5
    score = torch.where(flat, 0.0, trace / deviation)
    return score, torch.where(flat | (most <= 0), 0.0, trace / n / most)


PROBE = Pairing
