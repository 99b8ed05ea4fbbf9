"""What it costs to import losscope and to ask it for help, in fresh interpreters.

    python benchmarks/start/bench_import.py [--repeats 15]

`import losscope` is measured inside the process, so that starting python is not counted; the goal is
under 50 ms. That it loads nothing heavy is a test (tests/project/test_import_time.py). Run it on an
idle machine.
"""

import argparse
import statistics
import subprocess
import sys
import time

GOAL_MS = 50.0
INSIDE = (
    "import time; began = time.perf_counter(); import losscope; print(1e3 * (time.perf_counter() - began))"
)


def import_ms() -> float:
    done = subprocess.run([sys.executable, "-c", INSIDE], capture_output=True, text=True, check=True)
    return float(done.stdout)


def process_ms(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return 1e3 * (time.perf_counter() - began)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    rows = {
        "import losscope": [import_ms() for _ in range(repeats)],
        "python -c pass": [process_ms("-c", "pass") for _ in range(repeats)],
        "losscope --help": [process_ms("-m", "losscope", "--help") for _ in range(repeats)],
        "losscope run --help": [process_ms("-m", "losscope", "run", "--help") for _ in range(repeats)],
    }
    for name, times in rows.items():
        print(
            f"{name:<20} median {statistics.median(times):7.1f} ms   min {min(times):7.1f}   max {max(times):7.1f}"
        )
    reached = statistics.median(rows["import losscope"]) < GOAL_MS
    print(f"goal: import losscope < {GOAL_MS:g} ms: {'reached' if reached else 'MISSED'}")
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
