"""The objective: its terms as read from the autograd graph, their values, chance levels, floors and bounds.

The chance level is that of the best constant predictor for the targets *seen so far*, so it is
recomputed as targets accumulate. The anatomy itself is written as an event when it changes.
"""

import math
from collections.abc import Sequence
from typing import Any

from losscope.anatomy.anatomy import Anatomy, Term
from losscope.anatomy.finder import UNCONFIRMED
from losscope.core.estimate import Estimate
from losscope.core.finding import Where
from losscope.losses.spec import LossSpec
from losscope.losses.target_stats import TargetStats
from losscope.probes.probe import Probe, Sample
from losscope.recording import signals

# Options that cannot move a bound of 0.
_HARMLESS = frozenset(
    {"target", "has_target", "num_classes", "ignore_index", "weight", "pos_weight"}
    | {"normalised_weights", "ignored_as_zero"}
)
# Beside another loss these steer and do not aim: the log-determinant of a flow or the log-variance of a likelihood,
# the divergence of a VAE, a confidence penalty. So do penalties.
_REGULARISERS = frozenset({"mean_score", "gaussian_kl", "entropy"})
_NO_RIVAL = frozenset({"shape-broadcast", "all-pairs", "batch-statistic"})
_SAME = 1e-2  # relative: coefficients that differ by less are those of one objective


class Objective(Probe):
    """Records TERM_VALUE, _COEFFICIENT, _CHANCE, _CHANCE_ERROR and _FLOOR, BATCH_SIZE and ``anatomy`` events."""

    def __init__(self) -> None:
        self._signatures: dict[str, str] = {}
        self._mixtures: dict[str, list[float]] = {}  # by stream: coefficients as the first look saw them
        self._reweighted: set[str] = set()
        self._targets: dict[tuple[str, str], TargetStats] = {}

    def objective(self, sample: Sample) -> None:
        anatomy = sample.anatomy
        if anatomy is None:
            return
        for index, term in enumerate(anatomy.terms):
            self._term(sample, f"{sample.stream}/{index}", term)
        if self._is_new_mixture(sample, anatomy) or self._signatures.get(sample.stream) != anatomy.signature:
            self._signatures[sample.stream] = anatomy.signature
            self._mixtures[sample.stream] = [term.coefficient for term in anatomy.terms]
            steady = sample.stream not in self._reweighted
            where = _built_at(sample, anatomy.terms) or sample.where
            sample.sink.event(
                "anatomy",
                stream=sample.stream,
                step=sample.step,
                expression=anatomy.expression,
                terms=[_described(term, anatomy.terms, steady=steady) for term in anatomy.terms],
                called=sorted(sample.sites),
                where={"file": where.file, "line": where.line} if where else None,
            )

    def _is_new_mixture(self, sample: Sample, anatomy: Anatomy) -> bool:
        """Whether the weight of a regulariser is seen, for the first time, to be another than at the look before.

        Weights count relative to each other: a loss scale, or a divisor that follows the batch, changes all of them.
        """
        before = self._mixtures.get(sample.stream)
        if before is None or sample.stream in self._reweighted or not any(map(_steers, anatomy.terms)):
            return False
        now = [term.coefficient for term in anatomy.terms]
        size, old = sum(map(abs, now)) or 1.0, sum(map(abs, before)) or 1.0
        shares = list(zip((a / size for a in now), (b / old for b in before), strict=False))
        changed = any(abs(a - b) > _SAME * max(abs(a), abs(b)) for a, b in shares)
        if changed or len(now) != len(before):
            self._reweighted.add(sample.stream)
        return sample.stream in self._reweighted

    def _term(self, sample: Sample, label: str, term: Term) -> None:
        if term.value is not None:
            sample.record(signals.TERM_VALUE, term.value, label)
        sample.record(signals.TERM_COEFFICIENT, term.coefficient, label)
        if term.floor is not None:
            sample.record(signals.TERM_FLOOR, term.floor, label)
        chance = self._chance(sample, label, term)
        if chance is not None:
            sample.record(signals.TERM_CHANCE, chance.value, label)
            sample.record(signals.TERM_CHANCE_ERROR, chance.stderr, label)

    def _chance(self, sample: Sample, label: str, term: Term) -> Estimate | None:
        """From the targets seen so far; of a term without targets from its options alone, as ln K of K candidates.

        A table of all pairs has none: a constant is its best answer, or its repulsion stands in another term. Nor
        has a statistic of a batch, of which both sides vary.
        """
        if term.spec is None or not _NO_RIVAL.isdisjoint(term.notes):
            return None
        stats = self._targets.setdefault((label, term.kind), TargetStats())
        if term.target is not None:
            sample.record(signals.BATCH_SIZE, float(term.target.shape[0] if term.target.ndim else 1), label)
            term.observe(stats)
        elif not _options_tell(term, term.spec):
            return None
        return term.chance(stats)


def _options_tell(term: Term, spec: LossSpec) -> bool:
    """Whether the chance level follows from the options that were read, and the value is to fall towards it.

    Options that the graph does not show may not matter: none of the contract's variants moves the level.
    """
    if spec.chance is None or not spec.value_is_progress or term.reduction != "mean":
        return False
    empty = TargetStats()
    return all(
        spec.chance(empty, {**variant, **term.options}) == spec.chance(empty, term.options)
        for variant in spec.variants
        if UNCONFIRMED in term.notes
    )


def _built_at(sample: Sample, terms: Sequence[Term]) -> Where | None:
    """The user's line that calls the loss function of the first term that has one."""
    for term in terms:
        names = (term.kind, f"{term.kind}_loss")
        for name in names if term.kind[:7] != "unknown" else ("cross_entropy",) * _is_softmax_target(term):
            if (place := sample.sites.get(name)) is not None:
                return place
    return None


def _is_softmax_target(term: Term) -> bool:
    """Whether what was not recognised is a softmax against targets that are no distributions."""
    return not {"no-distribution", "several-classes"}.isdisjoint(term.notes)


def _described(term: Term, terms: Sequence[Term], *, steady: bool) -> dict[str, Any]:
    spec = term.spec
    return {
        "kind": term.kind,
        "task": spec.task if spec is not None else None,
        "unit": spec.unit if spec is not None else "",
        "coefficient": term.coefficient,
        "reduction": term.reduction,
        "options": term.options,
        "prediction": {
            "shape": list(term.prediction_shape),
            "activation": term.activation,
            "name": term.name,
        },
        "target": _target(term),
        "floor": term.floor,
        "bounds": list(_bounds(term)),
        "normaliser": _normaliser(term),
        "chain": list(term.chain),
        "notes": list(term.notes),
        "elements": _elements(term),
        "value_is_progress": _is_progress(term, terms, steady=steady),
    }


def _target(term: Term) -> dict[str, Any] | None:
    """Shape and type of the target, its kind by the contract, and where numbers of that kind may lie.

    Kind and domain are left out where weights may hide some of the numbers, such as the -1 of unknown labels, and where
    the loss itself is not certain.
    """
    if term.target is None:
        return None
    told: dict[str, Any] = {"shape": list(term.target.shape), "dtype": str(term.target.dtype)}
    argument = next((a for a in term.spec.arguments if a.role == "target"), None) if term.spec else None
    hidden = term.sample_weight is not None or UNCONFIRMED in term.notes
    hidden = hidden or (term.options.get("weight") is not None and term.target.dtype.is_floating_point)
    if argument is not None and not hidden and argument.of.integer is not term.target.dtype.is_floating_point:
        low, high = (x if math.isfinite(x) else None for x in (argument.of.low, argument.of.high))
        told |= {"kind": argument.kind, "domain": [low, high]}
    return told


def _elements(term: Term) -> int | None:
    """How many elements a sum runs over, where the targets tell; ``None`` for other reductions."""
    if term.reduction != "sum" or term.target is None or term.sample_weight is not None:
        return None
    ignored = term.options.get("ignore_index")
    if ignored is None or term.target.is_floating_point():
        return term.target.numel()
    return int((term.target != ignored).sum())


def _bounds(term: Term) -> tuple[float | None, float | None]:
    """What the value of the term cannot fall below or rise above, whatever model and data; ``None`` unknown.

    From the contract alone: the floor where it follows from the options without any targets, else an end of the
    range that is 0 under options that cannot move it. A sum over samples keeps a bound of 0 and no other. Where
    samples have weights, whose signs and sizes may change with the next batch, only a mask leaves the bounds.
    """
    spec, options = term.spec, term.options
    if spec is None or (term.sample_weight is not None and term.reduction != "masked-mean"):
        return None, None
    if not all(_are_weights(options.get(name)) for name in ("weight", "pos_weight")):
        return None, None
    low = spec.floor(options, None) if spec.floor is not None else None
    merged = term.count > 1 and spec.task != "penalty"  # of several terms, whose sample weights are forgotten
    merged = merged or bool(options.get("ignored_as_zero"))  # as many zeros as the next batch may ignore
    if low is not None and low != 0 and (merged or term.reduction in ("sum", "batchmean")):
        low = None
    fixed = options.keys() <= _HARMLESS
    if low is None and fixed and spec.range[0] == 0:
        low = 0.0
    return low, 0.0 if fixed and spec.range[1] == 0 else None


def _are_weights(given: Any) -> bool:
    """No weights, or a list of weights that are not negative."""
    return given is None or (isinstance(given, list | tuple) and all(w >= 0 for w in given))


def _normaliser(term: Term) -> float | None:
    """The value that the contract counts as 1 for one element, such as ln C; a sum has none."""
    spec = term.spec
    if spec is None or spec.normaliser is None or term.reduction in ("sum", "batchmean"):
        return None
    return spec.normaliser(term.options)


def _is_progress(term: Term, terms: Sequence[Term], *, steady: bool) -> bool:
    """Whether the contract says so, or the term is a regulariser beside a loss that is progress.

    The sum can be compared over time only while the weights are ``steady``, which an annealed divergence is not.
    (Critics with a penalty have a rival objective.)
    """
    if term.spec is None or term.spec.value_is_progress:
        return True
    others = [t.spec for t in terms if t is not term and t.spec is not None]
    loss_beside = any(spec.value_is_progress and spec.task != "penalty" for spec in others)
    return steady and loss_beside and _steers(term)


def _steers(term: Term) -> bool:
    """Whether a term whose value is no progress is a regulariser."""
    if term.spec is None or term.spec.value_is_progress:
        return False
    return term.spec.task == "penalty" or term.kind in _REGULARISERS


PROBE = Objective
