"""What curvature costs: losscope and its peers on four networks, in one process, in gradients of that network.

    python benchmarks/geometry/bench_geometry.py [--workloads mlp cnn] [--tasks top5 trace] [--rounds 3] [--cap 120]

Each number is the time of an answer, from the bare model to the answer, over the time of one plain gradient that was
taken just before and just after; the median over rounds, in which all contestants take turns. ``product`` is one
Hessian-vector product once everything is set up (``in blocks``: of eight, each). One thread, processor time, so that
other work on the machine disturbs little. ``error`` compares with a reference in double precision that is none of the
contestants'; an answer that is off by more than its task allows is marked as wrong and does not count as the best peer.

The peers are optional: ``pip install curvlinops-for-pytorch pyhessian hessian-eigenthings backpack-for-pytorch
nngeometry``. Those that are missing, that fail, or that take longer than ``--cap`` seconds are named as such.
"""

import argparse
import contextlib
import copy
import importlib
import io
import pkgutil
import signal
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import contestants
import torch
from references import reference
from workloads import WORKLOADS, Workload, workload

TASKS = {  # the largest error that passes, relative to the largest number of the answer
    "product": 2e-3,  # in single precision some units fall on the other side of their kink
    "products_in_blocks": 2e-3,
    "top5": 1e-3,
    "trace": 0.06,  # three standard errors
    "trace_by_hutchinson": 0.06,
    "density": 0.3,  # the second moment by ten probes
    "gauss_newton_top": 1e-3,
    "fisher_product": 2e-3,
    "kernel": 1e-3,
}
WITHOUT_TRANSFORMER = {"kernel"}
PER_CALL = {"products_in_blocks": 8}


class TooLong(Exception):
    """A contestant ran past the cap."""


@dataclass
class Contestant:
    """One way to do a task on one workload, with its own copy of the model."""

    name: str
    run: Callable[[], object]
    load: Workload
    costs: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    error: float = float("nan")
    failed: str = ""

    def round(self, per: int, cap: int, expected: torch.Tensor | None) -> None:
        if self.failed:
            return
        try:
            with within(cap), contextlib.redirect_stdout(io.StringIO()):
                before = seconds(self.load.gradient)
                taken, answer = timed(self.run)
                after = seconds(self.load.gradient)
        except TooLong:
            self.failed = f"> {cap} s"
            return
        except Exception as fault:  # noqa: BLE001  a peer may fail in any way; the table says how
            self.failed = f"{type(fault).__name__}: {str(fault).splitlines()[0][:60] if str(fault) else ''}"
            return
        self.costs.append(taken / ((before + after) / 2) / per)
        self.seconds.append(taken / per)
        if expected is not None:
            self.error = max(self.error if self.error == self.error else 0.0, distance(answer, expected))

    @property
    def cost(self) -> float:
        return statistics.median(self.costs)


@contextlib.contextmanager
def within(limit: int) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(limit)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def timed(run: Callable[[], object]) -> tuple[float, object]:
    began = time.process_time()
    answer = run()
    return time.process_time() - began, answer


def seconds(run: Callable[[], object]) -> float:
    """Median of three."""
    return statistics.median(timed(run)[0] for _ in range(3))


def distance(answer: object, expected: torch.Tensor) -> float:
    given = torch.as_tensor(answer, dtype=torch.float64).detach()
    if given.shape != expected.shape:
        return float("inf")
    return float((given - expected).abs().max() / expected.abs().max())


def entered(task: str, base: Workload) -> Iterator[Contestant]:
    """Every contestant that has a function of the task's name."""
    size = sum(p.numel() for p in base.parameters)
    torch.manual_seed(1)
    vectors = {"product": torch.randn(size), "fisher_product": torch.randn(size)}
    vectors["products_in_blocks"] = torch.randn(size, 8)
    for found in pkgutil.iter_modules(contestants.__path__):
        name = found.name.rstrip("_")
        try:
            enter = getattr(importlib.import_module(f"contestants.{found.name}"), task, None)
        except ImportError as missing:
            print(f"  {name:14} not installed ({missing.name})")
            continue
        if enter is None:
            continue
        own = copy.deepcopy(base)
        one = Contestant(name, lambda: None, own)
        try:
            one.run = enter(own, vectors[task]) if task in vectors else enter(own)
        except Exception as fault:  # noqa: BLE001  the same
            one.failed = f"{type(fault).__name__}: {str(fault)[:60]}"
        yield one


def compete(task: str, base: Workload, rounds: int, cap: int) -> None:
    expected = reference(task, base)
    field_ = list(entered(task, base))
    per = PER_CALL.get(task, 1)
    for _ in range(rounds):
        for one in field_:
            one.round(per, cap, expected)
    show(task, base.name, field_)


def show(task: str, load: str, field_: list[Contestant]) -> None:
    ours = next(
        (one for one in field_ if one.name == "ours"), Contestant("ours", lambda: None, field_[0].load)
    )
    right = [o for o in field_ if o.costs and not o.error > TASKS[task] and o is not ours]
    best = min(right, key=lambda o: o.cost, default=None)
    print(f"\n{task.replace('_', ' ')} · {load}")
    for one in sorted(field_, key=lambda o: o.cost if o.costs else float("inf")):
        if not one.costs:
            print(f"  {one.name:14} {one.failed}")
            continue
        wrong = "" if not one.error > TASKS[task] else "  wrong"
        against = f"{one.cost / ours.cost:8.2f}" if ours.costs else ""
        print(
            f"  {one.name:14} {one.cost:9.2f} g {one.seconds[-1]:9.3f} s {against}  error {one.error:.1e}{wrong}"
        )
    if best is not None and ours.costs:
        print(f"  best right peer / ours: {best.cost / ours.cost:.2f} ({best.name})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workloads", nargs="+", default=WORKLOADS, choices=WORKLOADS)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--cap", type=int, default=120, help="seconds that a contestant may take for one answer"
    )
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, {Path(__file__).name}: ratios are to losscope's cost")
    for name in given.workloads:
        base = workload(name)
        for _ in range(3):
            base.gradient()
        size = sum(p.numel() for p in base.parameters)
        print(f"\n== {name}: {size:,} parameters, g = {1e3 * seconds(base.gradient):.2f} ms ==")
        for task in given.tasks:
            if name != "transformer" or task not in WITHOUT_TRANSFORMER:
                compete(task, base, given.rounds, given.cap)


if __name__ == "__main__":
    main()
