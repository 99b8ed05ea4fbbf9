"""How far healthy runs end above their start: ``python benchmarks/calibration/far_rise.py [RUNS]``.

Prints, per shape of ``healthy_curves``, how many of RUNS runs (default 2000) the ratio test of
:func:`losscope.rules.lasting_rise.far_rise` would report, the largest ratio of late to first level, and the share
of exploding runs (a jump, a saturating rise, a steady one; relative noise up to 100 %) that it finds. The shapes
whose rise is legitimate (``adversarial``, ``bootstrapped``) never reach the test in a real run.
"""

import sys

import numpy as np
from false_alarms import LENGTHS
from healthy_curves import SHAPES, Rng

from losscope.rules.lasting_rise import far_rise
from losscope.rules.statistics.robust import Floats


def ratio(curve: Floats) -> float:
    """The 20 % quantile of the last fifth over the median of the first three values."""
    return float(np.quantile(curve[-max(10, len(curve) // 5) :], 0.2) / np.median(curve[:3]))


def exploding(n: int, rng: Rng) -> Floats:
    """A rise by three to twelve powers of ten that begins at once and is fast, slow or steady."""
    time = np.arange(n) / n
    shape = rng.integers(3)
    rise = (time, 1 - np.exp(-time * rng.uniform(3, 30)), np.minimum(1, np.arange(n) / 4))[shape]
    return np.exp(rng.uniform(np.log(1e3), np.log(1e12)) * rise + rng.uniform(0, 1) * rng.standard_normal(n))


def main(runs: int) -> None:
    for name, shape in SHAPES.items():
        alarms, largest = 0, 0.0
        for seed in range(runs):
            rng = np.random.default_rng([seed, *name.encode()])
            curve = shape(int(rng.choice(LENGTHS)), rng)
            if curve.min() > 0:
                alarms += far_rise(curve) is not None
                largest = max(largest, ratio(curve))
        print(f"{name:20} alarms {alarms} of {runs}, largest ratio {largest:.3g}")
    rng = np.random.default_rng(0)
    found = sum(far_rise(exploding(int(rng.choice(LENGTHS)), rng)) is not None for _ in range(runs))
    print(f"{'exploding':20} found {100 * found / runs:.1f} %")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
