"""What one update costs on each path through the watch; the constants of the governor come from here.

    python benchmarks/overhead/bench_per_update.py [--rounds 200]

Stretches of updates alternate between no hooks, every update looked at in full, and the fast path; the difference to no
hooks is what an update costs the script. ``inside`` is what the watch measures of itself meanwhile: true ÷ inside is
``_INDIRECT`` of losscope/watching/budget.py (code that runs once per step is cold), and ``_FAST`` is chosen so that
what the governor books for the fast path, times ``_INDIRECT``, is its true cost.
"""

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import torch
from bench_overhead import Losscope
from workloads import WORKLOADS

from losscope.watching.budget import Governor


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--workload", default="0.3ms", choices=list(WORKLOADS))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    tool = Losscope(chosen.workload)
    session, watch = tool.session, tool.session.watch
    assert watch is not None
    governor = watch.governor
    Governor.adapt = lambda self: False
    Governor.wants_deep = lambda self, update: bool(setattr(self, "look_at", update + 10**9))
    step = tool.step

    def path(name: str) -> None:
        watch.fast.leave()
        watch._passing, governor.stride = name == "mixed", int(name != "full")
        if name == "fast":
            watch.fast.enter(10**9, 1, None)

    names, began = ["no hooks", "full", "mixed", "fast"], time.perf_counter()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    inside: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(5):
        step()
    steps = max(10, int(0.04 / ((time.perf_counter() - began) / 5)))
    session.resume()
    for _ in range(chosen.rounds):
        random.shuffle(names)
        for name in names:
            if name == "no hooks":
                session.pause(Path(tempfile.gettempdir()))
            path(name)
            for _ in range(5):
                step()
            spent, began = governor.spent, time.perf_counter()
            for _ in range(steps):
                step()
            seconds[name].append((time.perf_counter() - began) / steps)
            watch.fast.leave()
            inside[name].append((governor.spent - spent) / steps)
            if name == "no hooks":
                session.resume()
    print(f"{'path':<9} {'µs a step':>9} {'true µs':>8} {'±':>5} {'inside µs':>9} {'true ÷ inside':>13}")
    for name, times in seconds.items():
        extra = sorted(a - b for a, b in zip(times, seconds["no hooks"], strict=True))
        middle = extra[
            len(extra) // 10 : -(len(extra) // 10)
        ]  # a stretch that another process disturbed is out
        true = statistics.mean(middle) * 1e6
        error = statistics.stdev(middle) / len(middle) ** 0.5 * 1e6
        own = statistics.median(inside[name]) * 1e6
        ratio = f"{true / own:13.2f}" if own else ""
        print(f"{name:<9} {statistics.median(times) * 1e6:9.1f} {true:8.2f} {error:5.2f} {own:9.2f} {ratio}")


if __name__ == "__main__":
    main()
