"""Share of generated faulty runs that are found: ``python benchmarks/calibration/detection.py [RUNS]``.

The other side of ``false_alarms.py``: the same shapes with one fault planted, of random size and time. A rule
that never speaks has no false alarms either.
"""

import sys
from collections import Counter
from collections.abc import Callable

import numpy as np
from healthy_curves import SHAPES, Rng, ar1

from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.judge import judge_run
from losscope.rules.planted import TEN_CLASSES, PlantedTerm, every, record

UNKNOWN = PlantedTerm(kind="mse", chance=None, floor=None)
LENGTHS = (200, 400, 1500, 6000)


def blown_up(n: int, rng: Rng) -> Recording:
    """From a random update on the loss grows exponentially, past its start."""
    loss = SHAPES["exponential"](n, rng)
    at = int(rng.uniform(0.1, 0.8) * n)
    growth = rng.uniform(3, 15) * np.arange(n - at) / (n - at)
    loss[at:] = loss[at] * np.exp(growth + 0.1 * ar1(n - at, 0.5, rng)) + 2.3 * growth / growth.max()
    return record(loss, terms=[UNKNOWN])


def collapsed(n: int, rng: Rng) -> Recording:
    """What was learnt is lost at once, and the loss stays near chance."""
    loss = rng.uniform(0.05, 1.0) + 2.0 * np.exp(-np.arange(n) / (0.08 * n))
    loss[int(rng.uniform(0.3, 0.8) * n) :] = 2.3
    return record(loss * np.exp(0.1 * ar1(n, 0.5, rng)), terms=[UNKNOWN])


def at_chance(n: int, rng: Rng) -> Recording:
    """The loss stays at chance, with the noise of a random batch size."""
    return record(2.303 + rng.uniform(0.01, 0.2) * ar1(n, rng.uniform(0, 0.5), rng), terms=[TEN_CLASSES])


def overfitted(n: int, rng: Rng) -> Recording:
    """Validation rises by 20 to 200 % of what it had gained."""
    evaluations = int(rng.integers(10, 60))
    best = int(rng.uniform(0.1, 0.5) * evaluations)
    time = np.arange(evaluations)
    fall = np.exp(-time / max(1.0, best / 3))
    rise = rng.uniform(0.2, 2.0) * np.maximum(0, time - best) / (evaluations - best)
    validation = 0.5 + fall + rise + rng.uniform(0.002, 0.03) * ar1(evaluations, 0.3, rng)
    loss = 0.01 + 2.3 * np.exp(-np.arange(n) / (0.2 * n)) * np.exp(0.1 * ar1(n, 0.5, rng))
    return record(loss, terms=[UNKNOWN], validation=validation)


def too_fast(n: int, rng: Rng) -> Recording:
    """The step size breaks the run: the loss grows from the first update on."""
    loss = 2.3 * np.exp(rng.uniform(1, 10) * np.arange(n) / n + 0.2 * ar1(n, 0.5, rng))
    ratios = np.geomspace(rng.uniform(0.01, 0.2), rng.uniform(0.3, 10), len(range(0, n, 20)))
    return record(loss, terms=[UNKNOWN], series={(signals.UPDATE_RATIO, "0"): every(20, n, ratios)})


FAULTS: dict[str, Callable[[int, Rng], Recording]] = {
    "diverging-loss": blown_up,
    "diverging-loss (collapse)": collapsed,
    "loss-at-chance": at_chance,
    "overfitting": overfitted,
    "learning-rate-too-high": too_fast,
}


def main(runs: int) -> None:
    for name, plant in FAULTS.items():
        code = name.partition(" ")[0]
        seen: Counter[str] = Counter()
        for seed in range(runs):
            rng = np.random.default_rng([seed, *name.encode()])
            codes = {
                f.code
                for f in judge_run(plant(int(rng.choice(LENGTHS)), rng)).findings
                if f.severity != "info"
            }
            seen.update(codes or {"nothing"})
        print(f"{name:28} found {100 * seen[code] / runs:5.1f} %   all: {dict(seen)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
