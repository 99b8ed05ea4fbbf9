"""What watching costs: seconds per training step with and without, in pairs, for losscope and its peers.

    python benchmarks/overhead/bench_overhead.py [--pairs 5] [--seconds 6]

Each pair is one plain and one watched process of the same loop, in turn; the ratio of a row is the
median over pairs. The processor ratio counts the recorder's own threads in full, though they run beside
the training; on a noisy machine it is the steadier figure.
Start-up and the verdict are not part of a step and are printed apart. Peers that are not installed, or
that fail, are named as such. Run it on an idle machine.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAIN = Path(__file__).with_name("train.py")
WORKLOADS = {"0.3ms": 1.05, "3ms": 1.03, "30ms": 1.02}
PEERS = ["torchmortem", "torchinstruments", "cockpit"]


def per_step(workload: str, tool: str, seconds: float) -> tuple[float, float, float] | str:
    """(seconds per step, processor seconds per step, seconds of the whole process), or why not."""
    with tempfile.TemporaryDirectory() as folder:
        watch = ["-m", "losscope", "run", "--out", f"{folder}/run"] if tool == "losscope" else []
        own = [] if tool in {"losscope", "none"} else ["--tool", tool]
        command = [sys.executable, *watch, str(TRAIN), workload, "--seconds", str(seconds), *own]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "LOSSCOPE_QUIET": "1", "PYTHONWARNINGS": "ignore"}
        began = time.perf_counter()
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=folder, check=False
        )
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["?"])[-1][:90]
        wall, busy, _ = map(float, done.stdout.split())
        return wall, busy, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="training time of each process")
    parser.add_argument("--tools", nargs="*", default=["losscope", *PEERS])
    parser.add_argument("--workloads", nargs="*", default=list(WORKLOADS))
    chosen = parser.parse_args()
    print(
        f"{'step':>6} {'tool':<17} {'plain ms':>9} {'ratio':>7} {'min':>7} {'max':>7} {'cpu ratio':>9} "
        f"{'start+end s':>11}  goal"
    )
    for workload in chosen.workloads:
        for tool in chosen.tools:
            ratios, plains, busy, extra = [], [], [], []
            for pair in range(chosen.pairs):
                order = ["none", tool] if pair % 2 == 0 else [tool, "none"]
                result = {name: per_step(workload, name, chosen.seconds) for name in order}
                plain, watched = result["none"], result[tool]
                if isinstance(plain, str) or isinstance(watched, str):
                    print(f"{workload:>6} {tool:<17} does not run: {watched}")
                    break
                plains.append(plain[0] * 1e3)
                ratios.append(watched[0] / plain[0])
                busy.append(watched[1] / plain[1])
                extra.append(watched[2] - plain[2])
            else:
                goal = f"<= {WORKLOADS[workload]}" if tool == "losscope" else ""
                print(
                    f"{workload:>6} {tool:<17} {statistics.median(plains):9.3f} {statistics.median(ratios):7.3f} "
                    f"{min(ratios):7.3f} {max(ratios):7.3f} {statistics.median(busy):9.3f} "
                    f"{statistics.median(extra):11.2f}  {goal}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
