"""False-alarm rate of every rule on generated healthy runs: ``python benchmarks/calibration/false_alarms.py [RUNS]``.

RUNS is the number of runs per shape (default 200). Prints, per shape, the share of runs with any warning or
error, and, per rule, its share over all runs with an exact 95 % upper bound (Clopper and Pearson, 1934).
The levels of chance and floor are known in half of the runs, unknown in the other half.
"""

import sys
from collections import Counter
from typing import Any

import numpy as np
from healthy_curves import SHAPES, healthy_validation
from scipy import stats

from losscope.core.verdict import Verdict
from losscope.recording import signals
from losscope.rules.judge import judge_run
from losscope.rules.planted import PARAMETERS, Planted, PlantedTerm, every, optimizer, record

LENGTHS = (30, 60, 120, 400, 1500, 6000)


def judge_one(shape: str, seed: int) -> Verdict:
    """One healthy run, with ordinary update ratios, gradients and validation."""
    rng = np.random.default_rng([seed, *shape.encode()])
    n = int(rng.choice(LENGTHS))
    loss = SHAPES[shape](n, rng)
    start = 2.3e6 if shape == "summed" else 2.3
    steady = shape not in {"fine_tuning", "batch_of_one"}  # noise takes successive gradients towards cosine 0
    cosine = rng.uniform(-0.6, 0.6) if steady else rng.uniform(-0.1, 0.2)
    known = seed % 2 == 0 and float(loss.min()) > 0 and shape not in {"adversarial", "bootstrapped"}
    term = PlantedTerm(
        chance=start if known else None, chance_error=0.01 * start, floor=0.0 if known else None
    )
    spacing = max(1, n // 30)
    samples = len(range(0, n, spacing))
    series = {
        (signals.UPDATE_RATIO, "0"): every(spacing, n, 10 ** rng.normal(-2.7, 0.5, samples)),
        (signals.GRADIENT_NORM, "0"): every(spacing, n, 10 ** rng.normal(0.0, 0.5, samples)),
        (signals.ALIGNMENT, "0"): every(spacing, n, np.clip(rng.normal(cosine, 0.2, samples), -1, 1)),
        (signals.STALE_GRADIENT, "0"): every(1, n, 0.0),
    }
    series.update(step_size(n, spacing, rng))
    if shape == "adversarial":
        series[signals.LOSS, "1"] = every(1, n, SHAPES[shape](n, rng))
    if shape == "bootstrapped":
        series[signals.TARGET_STD, "0/0"] = every(
            spacing, n, np.geomspace(0.1, rng.uniform(0.3, 10), samples)
        )
    validation = healthy_validation(int(rng.integers(3, 60)), rng)
    events = [trained_by(rng), *scheduled(n, rng, series)]
    return judge_run(record(loss, terms=[term], series=series, events=events, validation=validation))


def step_size(n: int, spacing: int, rng: np.random.Generator) -> Planted:
    """Norms under ordinary decay (they grow to three times or shrink to a third), clipping that always acts in half
    of the runs, and a radial gain as large as the decay's own balance would make it.
    """
    samples = len(range(0, n, spacing))
    path = np.geomspace(1.0, rng.uniform(0.35, 3.0), samples) * rng.uniform(1, 10)
    planted: Planted = {
        (signals.RADIAL_GAIN, "0"): every(spacing, n, rng.normal(0.05, 0.3, samples)),
        (signals.CLIP_NORM, "0"): every(1, n, 10 ** rng.normal(rng.uniform(-1, 2), 0.3, n)),
        (signals.CLIP_LIMIT, "0"): every(1, n, 1.0),
        (signals.CLIP_STATE, "0"): every(1, n, 0.0),
    }
    for name in PARAMETERS:
        planted[signals.PARAMETER_NORM, name] = every(spacing, n, path)
        planted[signals.UPDATE_NORM_PARAMETER, name] = every(spacing, n, path * 10 ** rng.normal(-2.7, 0.3))
        planted[signals.GRADIENT_NORM_PARAMETER, name] = every(spacing, n, 10 ** rng.normal(-1, 0.5, samples))
    return planted


def trained_by(rng: np.random.Generator) -> dict[str, Any]:
    """AdamW, Adam or SGD with the decay and the momentum that are usual for it."""
    name = ("AdamW", "Adam", "SGD")[rng.integers(3)]
    decay = 10 ** rng.uniform(-3, -1) if name == "AdamW" else 10 ** rng.uniform(-6, -3.3)
    group = {"lr": 10 ** rng.uniform(-4, -2), "weight_decay": decay, "tensors": len(PARAMETERS)}
    group |= {"momentum": 0.9} if name == "SGD" else {"betas": [0.9, 0.999]}
    return {**optimizer(rate=group["lr"]), "name": name, "groups": [group]}


def scheduled(n: int, rng: np.random.Generator, series: Planted) -> list[dict[str, Any]]:
    """A scheduler that does what was meant, in four of five runs: its event; its rates and steps go to ``series``."""
    at, kind, passes = np.arange(n), int(rng.integers(5)), int(rng.integers(2, 6))
    series[signals.EPOCH, ""] = every(max(1, n // passes), n, 0.0)
    epoch = at * passes // n
    rates, fields = (
        (np.ones(n), {}),
        (0.5 * (1 + np.cos(np.pi * at / n)), {"name": "CosineAnnealingLR", "T_max": n}),
        (0.5 * (1 + np.cos(np.pi * epoch / passes)), {"name": "CosineAnnealingLR", "T_max": passes}),
        (0.1 ** (3 * epoch // passes), {"name": "StepLR", "step_size": 1 + passes // 3}),
        (np.minimum(1, at / (0.1 * n)) * (1 - at / n), {"name": "LambdaLR"}),
    )[kind]
    series[signals.LEARNING_RATE, "0/0"] = at, np.asarray(rates, dtype=np.float64) * 1e-3
    if not fields:
        return []
    ends = at if kind in (1, 4) else np.flatnonzero(np.diff(epoch)) + 1
    series[signals.SCHEDULER_STEPS, "0/0"] = ends, np.arange(1.0, len(ends) + 1)
    return [{"kind": "scheduler", "stream": "0", "scheduler": "0", "counted": True, **fields}]


def upper_bound(alarms: int, runs: int) -> float:
    """Exact one-sided 97.5 % upper bound of a share."""
    return float(stats.beta.ppf(0.975, alarms + 1, runs - alarms)) if alarms < runs else 1.0


def main(runs: int) -> None:
    by_code: Counter[str] = Counter()
    directions: Counter[str] = Counter()
    for shape in SHAPES:
        verdicts = [judge_one(shape, seed) for seed in range(runs)]
        alarms = [f.code for v in verdicts for f in v.findings if f.severity != "info"]
        faults = [str(why) for v in verdicts for _, why in v.not_judged if "internal fault" in str(why)]
        by_code.update(alarms)
        directions.update(v.training.status for v in verdicts)
        share = sum(v.state in {"wrong", "suspicious"} for v in verdicts) / runs
        print(f"{shape:20} {100 * share:6.2f} %  {dict(Counter(alarms))} {faults[:1]}")
    total = runs * len(SHAPES)
    print(f"\n{total} runs; status {dict(directions)}")
    for code in sorted(by_code):
        bound = upper_bound(by_code[code], total)
        print(f"{code:28} {100 * by_code[code] / total:6.2f} %  (at most {100 * bound:.2f} %)")
    print(f"every other rule: 0 alarms (at most {100 * upper_bound(0, total):.2f} %)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
