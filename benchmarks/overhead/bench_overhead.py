"""What watching costs: seconds per training step with and without, for losscope and its peers, in one process.

    python benchmarks/overhead/bench_overhead.py [--blocks 60] [--workloads 0.3ms 3ms 30ms] [--device cuda]

Each tool has a model of its own, and blocks of a quarter of a second alternate with and without the tool. A ratio is
that of a watched block to the mean of the two plain ones around it; a row gives their geometric mean with its
standard error, so that a machine whose speed drifts still compares like with like. The row ``none`` switches nothing
on: what it differs from 1 is noise. ``says`` is the overhead that losscope itself reports. Start-up and verdict are
not part of a step: benchmarks/start has them. Peers that are not installed, or that fail, are named as such.
"""

import argparse
import contextlib
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from workloads import WORKLOADS, workload

os.environ["LOSSCOPE_QUIET"] = "1"
BLOCK = 0.25  # seconds
DEVICE = torch.device("cpu")
GOALS = {"0.3ms": 1.05, "3ms": 1.03, "30ms": 1.02}
SLOWER = {"torchmortem": 4, "cockpit": 20}  # shorter blocks: these multiply the time of a step
Step = Callable[[], None]


class Tool:
    """A model of its own with a training step, and a switch that turns the tool on."""

    def __init__(self, name: str) -> None:
        torch.manual_seed(0)
        model, x, y = workload(name)
        self.model, self.x, self.y = model.to(DEVICE), x.to(DEVICE), y.to(DEVICE)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)

    def step(self) -> None:
        loss = F.cross_entropy(self.model(self.x), self.y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    @contextlib.contextmanager
    def on(self) -> Iterator[Step]:
        yield self.step

    def says(self) -> str:
        return ""


class Losscope(Tool):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        from losscope.watching.options import RunOptions
        from losscope.watching.session import Session

        self.folder = Path(tempfile.mkdtemp()) / "run"
        self.session = Session(RunOptions(out=self.folder), "benchmark")
        self.session.start()
        for _ in range(20):  # the first sample loads the catalogue: a fixed cost
            self.step()
        self.session.pause(self.folder)

    @contextlib.contextmanager
    def on(self) -> Iterator[Step]:
        self.session.resume()
        yield self.step
        self.session.pause(self.folder)

    def says(self) -> str:
        watch = self.session.watch
        return f"{1 + watch.governor.overhead():.3f}" if watch else ""


class Torchmortem(Tool):
    @contextlib.contextmanager
    def on(self) -> Iterator[Step]:
        from torchmortem import Autopsy

        with Autopsy(self.model, optimizer=self.optimizer) as autopsy:

            def step() -> None:
                loss = F.cross_entropy(self.model(self.x), self.y)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                autopsy.step(loss=loss.item())

            yield step


class Torchinstruments(Tool):
    @contextlib.contextmanager
    def on(self) -> Iterator[Step]:
        from torchinstruments import inject_observer, remove_observer

        with tempfile.TemporaryDirectory() as folder:
            inject_observer(self.model, output_dir=folder)
            yield self.step
            remove_observer(self.model)


class Cockpit(Tool):
    """Its "economy" set of quantities, each at the interval that it recommends."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        from backpack import extend
        from cockpit import Cockpit as Pit
        from cockpit.utils.configuration import configuration

        self.model, self.loss = extend(self.model), extend(nn.CrossEntropyLoss())
        self.individual = extend(nn.CrossEntropyLoss(reduction="none"))
        self.cockpit = Pit(self.model.parameters(), quantities=configuration("economy"))
        self.count = 0

    @contextlib.contextmanager
    def on(self) -> Iterator[Step]:
        def step() -> None:
            output = self.model(self.x)
            loss = self.loss(output, self.y)
            self.optimizer.zero_grad()
            info = {
                "batch_size": len(self.x), "individual_losses": self.individual(output, self.y),
                "loss": loss, "optimizer": self.optimizer,
            }  # fmt: skip
            with self.cockpit(self.count, info=info):
                loss.backward(create_graph=self.cockpit.create_graph(self.count))
            self.optimizer.step()
            self.count += 1

        yield step


TOOLS: dict[str, type[Tool]] = {
    "losscope": Losscope,
    "torchmortem": Torchmortem,
    "torchinstruments": Torchinstruments,
    "cockpit": Cockpit,
    "none": Tool,
}


def wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def per_step(step: Step, steps: int) -> float:
    for _ in range(5):
        step()
    wait()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return (time.perf_counter() - began) / steps


def watched(tool: Tool, steps: int) -> float:
    with tool.on() as step:
        return per_step(step, steps)


def measure(name: str, names: list[str], blocks: int) -> None:
    """Print a row for each tool; their blocks take turns, too."""
    tools: dict[str, Tool] = {}
    for each in names:
        try:
            tools[each] = TOOLS[each](name)
            watched(tools[each], 5)
        except Exception as error:  # noqa: BLE001  a peer's fault is a row of the table
            print(f"{name:>6} {each:<17} does not run: {type(error).__name__}: {error}"[:110])
            tools.pop(each, None)
    steps = max(10, int(BLOCK / per_step(Tool(name).step, 50)))
    plain = {each: [per_step(tool.step, steps)] for each, tool in tools.items()}
    ratios: dict[str, list[float]] = {each: [] for each in tools}
    for _ in range(blocks):
        for each, tool in tools.items():
            seconds = watched(tool, max(10, steps // SLOWER.get(each, 1)))
            plain[each].append(per_step(tool.step, steps))
            ratios[each].append(seconds / statistics.mean(plain[each][-2:]))
    for each, tool in tools.items():
        logs = [math.log(ratio) for ratio in ratios[each]]
        error = statistics.stdev(logs) / math.sqrt(len(logs))
        goal = f"<= {GOALS[name]}" if each == "losscope" else ""
        print(
            f"{name:>6} {each:<17} {statistics.median(plain[each]) * 1e3:9.3f} {math.exp(statistics.mean(logs)):7.3f} "
            f"± {error:5.3f} {statistics.median(ratios[each]):8.3f} {tool.says():>6}  {goal}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=60)
    parser.add_argument("--workloads", nargs="*", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--tools", nargs="*", default=list(TOOLS), choices=list(TOOLS))
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    global DEVICE  # noqa: PLW0603
    DEVICE = torch.device(chosen.device)
    print(f"{'step':>6} {'tool':<17} {'plain ms':>9} {'ratio':>7} {'':7} {'median':>8} {'says':>6}  goal")
    for name in chosen.workloads:
        measure(name, chosen.tools, chosen.blocks)


if __name__ == "__main__":
    main()
