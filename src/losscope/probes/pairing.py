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
from losscope.recording import signals

_ROWS, _COLUMNS, _LEAST = 256, 4096, 8


class Pairing(Probe):
    """Records PAIRING, PAIRING_GAIN, PREDICTION_SPREAD, PREDICTION_TOP and TARGET_TOP."""

    def objective(self, sample: Sample) -> None:
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
            predicted = prediction.argmax(1)
        else:
            return
        counted = indices >= 0
        seen = counted.sum().clamp(min=1)
        for signal, found in ((signals.PREDICTION_TOP, predicted), (signals.TARGET_TOP, indices)):
            counts = torch.zeros(count, dtype=torch.float32, device=found.device)
            counts.scatter_add_(0, found.clamp(0, count - 1), counted.float())
            sample.record(signal, counts.amax() / seen, label)


def affinities(term: Term) -> tuple[Tensor, Tensor] | None:
    """A ``[n, n]`` as above, and what there is to gain: the entropy, or the variance of the targets; else ``None``."""
    prediction, target = term.prediction, term.target
    if prediction is None or target is None or term.sample_weight is not None or term.spec is None:
        return None
    if prediction.shape[0] != target.shape[0] or target.is_complex():
        return None
    stride = -(-target.shape[0] // _ROWS)
    scores, wanted = (
        t[::stride].detach().reshape(-(-t.shape[0] // stride), -1) for t in (prediction, target)
    )
    if scores.shape[0] < _LEAST:
        return None
    scores = scores.to(torch.float64 if scores.dtype == torch.float64 else torch.float32)
    known = classes(term)
    if known is not None and wanted.shape[1] == 1 and scores.shape[1] == known[1] > 1:
        indices = known[0][::stride]
        kept = indices >= 0
        if term.prediction_is not in ("logits", "log-probabilities"):
            return None
        logs = scores.log_softmax(1)[kept]
        counts = torch.bincount(indices[kept], minlength=known[1]).to(scores.dtype)
        return logs[:, indices[kept]], torch.special.entr(counts / counts.sum()).sum()
    if not target.dtype.is_floating_point or scores.shape != wanted.shape:
        return None
    if term.spec.task not in ("binary", "regression", "multi-label", "counts"):
        return None
    step = -(-scores.shape[1] // _COLUMNS)
    scores, wanted = scores[:, ::step], wanted[:, ::step].to(scores.dtype)
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
