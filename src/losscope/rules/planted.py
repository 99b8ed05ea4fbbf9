"""Small recordings made in memory: what the broken and healthy twins of the rules are built from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.statistics.robust import Floats

Points = tuple[NDArray[np.int64], Floats]
Planted = dict[Any, Points]
"""Points by (signal, label)."""
PLACE = {"file": "train.py", "line": 41}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedTerm:
    """One term of a planted objective; its values are the loss divided by the coefficient, or ``values``.

    ``contract`` is what else the event says of the term: task, unit, bounds, normaliser, value_is_progress.
    """

    kind: str = "cross_entropy"
    coefficient: float = 1.0
    chance: float | None = None
    chance_error: float = 0.0
    floor: float | None = 0.0
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    values: Floats | None = None
    contract: Mapping[str, Any] = field(default_factory=dict)


TEN_CLASSES = PlantedTerm(chance=2.303, chance_error=0.001)
"""Cross-entropy over ten balanced classes: chance ln 10, floor 0."""

PARAMETERS = tuple(f"layer{i}.weight" for i in range(6))


def falling(n: int = 600, start: float = 2.3, end: float = 0.05, noise: float = 0.1, seed: int = 0) -> Floats:
    """Exponential fall over the first third with multiplicative noise: an ordinary healthy run."""
    decay = np.exp(-np.arange(n) / (n / 15))
    return (end + (start - end) * decay) * np.exp(noise * normal(n, seed))


def flat(n: int = 600, level: float = 2.303, noise: float = 0.02, seed: int = 0) -> Floats:
    """A loss that never moves, with relative noise."""
    return level * (1.0 + noise * normal(n, seed))


def normal(n: int, seed: int) -> Floats:
    """Standard normal numbers from a fixed seed."""
    return np.random.default_rng(seed).standard_normal(n)


def every(step: int, n: int, values: Sequence[float] | Floats | float) -> Points:
    """A series sampled at every ``step``-th of ``n`` updates; a single number is repeated."""
    steps = np.arange(0, n, step, dtype=np.int64)
    return steps, np.broadcast_to(np.asarray(values, dtype=np.float64), steps.shape).copy()


def record(
    loss: Floats,
    *,
    terms: Sequence[PlantedTerm] = (TEN_CLASSES,),
    series: Planted | None = None,
    events: Sequence[Mapping[str, Any]] = (),
    validation: Sequence[float] | Floats | None = None,
) -> Recording:
    """A run of stream "0" with this loss. ``validation`` is spread evenly over it, from held-out data."""
    n = len(loss)
    planted: Planted = {(signals.LOSS, "0"): every(1, n, loss)}
    happened: list[dict[str, Any]] = [{"kind": "run-start", "argv": ["train.py"], "script": "train.py"}]
    if terms:
        happened.append(_anatomy(terms))
    for index, term in enumerate(terms):
        label = f"0/{index}"
        known = loss / term.coefficient if term.values is None else term.values
        planted[signals.TERM_VALUE, label] = every(20, n, known[::20])
        if term.chance is not None:
            planted[signals.TERM_CHANCE, label] = every(20, n, term.chance)
            planted[signals.TERM_CHANCE_ERROR, label] = every(20, n, term.chance_error)
        if term.floor is not None:
            planted[signals.TERM_FLOOR, label] = every(20, n, term.floor)
    if validation is not None:
        steps = np.linspace(0, n - 1, len(validation)).astype(np.int64)
        planted[signals.EVALUATION_LOSS, "cross_entropy"] = steps, np.asarray(validation, dtype=np.float64)
        happened.append(
            {"event": "evaluation", "kind": "cross_entropy", "label": "cross_entropy", "loader": "other"}
        )
    happened.append({"kind": "script-end", "status": "finished", "exit_code": 0})
    planted.update(series or {})
    return Recording.from_memory(planted, [*happened[:-1], *(dict(e) for e in events), happened[-1]], {})


def layers(n: int, norms: Sequence[float], parameter_norm: float = 1.0) -> Planted:
    """Per-layer gradient and parameter norms, first layer first, sampled at every 20th update."""
    planted: Planted = {}
    for name, norm in zip(PARAMETERS, norms, strict=True):
        planted[signals.GRADIENT_NORM_PARAMETER, name] = every(20, n, norm)
        planted[signals.PARAMETER_NORM, name] = every(20, n, parameter_norm)
    planted[signals.GRADIENT_NORM, "0"] = every(20, n, float(np.sqrt(np.sum(np.square(norms)))))
    return planted


def model(names: Sequence[str] = PARAMETERS) -> dict[str, Any]:
    """A ``model`` event with square weights of these names, in order."""
    shape = {"shape": [32, 32], "numel": 1024, "dtype": "float32", "requires_grad": True}
    return {
        "kind": "model",
        "stream": "0",
        "class": "Net",
        "parameters": {name: dict(shape) for name in names},
    }


def optimizer(names: Sequence[str] = PARAMETERS, rate: float = 0.1, stream: str = "0") -> dict[str, Any]:
    """An ``optimizer`` event: plain gradient descent over these parameters."""
    return {
        "kind": "optimizer",
        "stream": stream,
        "name": "SGD",
        "groups": [{"lr": rate}],
        "parameters": list(names),
        "where": PLACE,
    }


def reach(
    reached: Sequence[str], held: Sequence[str], frozen: Sequence[str] = (), stream: str = "0"
) -> dict[str, Any]:
    """A ``reach`` event: what the loss reaches, what the optimiser holds."""
    return {
        "kind": "reach",
        "stream": stream,
        "step": 0,
        "reached": list(reached),
        "held": list(held),
        "held_not_reached": [name for name in held if name not in reached],
        "reached_not_held": [name for name in reached if name not in held],
        "frozen": list(frozen),
        "where": PLACE,
    }


def _anatomy(terms: Sequence[PlantedTerm]) -> dict[str, Any]:
    described = [
        {
            "kind": term.kind,
            "coefficient": term.coefficient,
            "reduction": "mean",
            "options": dict(term.options),
            "prediction": {"shape": [64, 10], "activation": None},
            "target": {"shape": [64], "dtype": "int64"},
            "floor": term.floor,
            "chain": [],
            "notes": list(term.notes),
            "reached": [],
            **term.contract,
        }
        for term in terms
    ]
    expression = " + ".join(f"{t.coefficient:g} · {t.kind}(logits[64,10], y; mean)" for t in terms)
    return {
        "kind": "anatomy",
        "stream": "0",
        "step": 0,
        "expression": expression,
        "terms": described,
        "where": PLACE,
    }
