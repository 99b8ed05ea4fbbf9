"""What recording costs: time and bytes per record on realistic series, and records lost in kills.

    python benchmarks/recording/bench_recorder.py [--kills 25]

Prints one line per figure. *add* is the time on the training thread; *background* is the CPU time of the
recorder's own threads per record (it shares the interpreter lock with the script).
"""

import argparse
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from array import array
from math import cos, exp, pi
from pathlib import Path
from statistics import median

from losscope.recording import segment, signals
from losscope.recording.encode import encode_records
from losscope.recording.reader import Recording
from losscope.recording.writer import Recorder

BURST, BURSTS = 1000, 300
UPDATES_PER_FLUSH = 170  # 3 ms per update
SAMPLED_EVERY = 50
PARAMETERS = 200

CHILD = """
import os, struct, sys, time
from losscope.recording import signals
from losscope.recording.writer import Recorder
add = Recorder(sys.argv[1]).series(signals.LOSS, "0").add
log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
step = 0
while True:
    add(step, step * 0.5)
    os.write(log, struct.pack("<d", time.monotonic()))
    step += 1
    time.sleep(0.0003)
"""


def float32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


def make_series(updates: int) -> dict[str, tuple[list[int], list[float]]]:
    """Series as a training run makes them: values from float32 tensors, a clock, a schedule."""
    chance = random.Random(0)
    every = list(range(updates))
    clock = 0.0
    times: list[float] = []
    for _ in every:
        clock += 0.003 * (1 + abs(chance.gauss(0, 0.05)))
        times.append(round(clock, 6))
    loss = [(2.3 * exp(-5 * i / updates) + 0.05) * (1 + 0.1 * chance.gauss(0, 1)) for i in every]
    series = {
        "loss": (every, [float32(v) for v in loss]),
        "step.time": (every, times),
        "learning rate": (every, [3e-4 * 0.5 * (1 + cos(pi * i / updates)) for i in every]),
    }
    sampled = every[::SAMPLED_EVERY]
    for number in range(PARAMETERS):
        scale = exp(chance.gauss(-5, 2))
        norms = [float32(scale * abs(1 + 0.3 * chance.gauss(0, 1))) for _ in sampled]
        series[f"gradient norm {number}"] = (sampled, norms)
    return series


def bytes_per_record(
    series: dict[str, tuple[list[int], list[float]]], names: list[str], updates: int
) -> float:
    """Packs the series as the recorder would, one frame per flush."""
    total = records = 0
    for first in range(0, updates, UPDATES_PER_FLUSH):
        chunks = []
        for number, name in enumerate(names):
            steps, values = series[name]
            stride = steps[1] - steps[0]
            part = slice(-(-first // stride), -(-(first + UPDATES_PER_FLUSH) // stride))
            if steps[part]:
                chunks.append((number, array("q", steps[part]), array("d", values[part])))
                records += len(values[part])
        if chunks:
            total += len(segment.pack_frame(segment.RECORDS, 1, encode_records(chunks)))
    return total / records


def time_of_add(folder: Path) -> tuple[float, float]:
    """Microseconds per record on the adding thread (best burst), and of background CPU per record (median)."""
    recorder = Recorder(folder, flush_seconds=60)
    add = recorder.series(signals.LOSS, "0").add
    add(0, 0.0)
    values = [float32(i / 7) for i in range(BURST)]
    full, empty, background = [], [], []
    for _ in range(BURSTS):
        began = time.perf_counter()
        for i, value in enumerate(values):
            add(i, value)
        ended = time.perf_counter()
        for _ in enumerate(values):
            pass
        empty.append((time.perf_counter() - ended) / BURST * 1e6)
        full.append((ended - began) / BURST * 1e6)
        began = time.thread_time()
        recorder._pack()
        background.append((time.thread_time() - began) / BURST * 1e6)
    recorder.close()
    return min(full) - min(empty), median(background)


def kill(folder: Path, wait: float) -> tuple[int, float]:
    """Records lost in one kill, and the age of the oldest of them in seconds."""
    folder.mkdir()
    log = folder / "added"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder / "run"), str(log)])
    while not log.exists():
        time.sleep(0.005)
    time.sleep(wait)
    killed = time.monotonic()
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    added = array("d", log.read_bytes())
    kept = len(Recording.open(folder / "run").series(signals.LOSS, "0"))
    return len(added) - kept, max(0.0, killed - added[kept]) if kept < len(added) else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as scratch:
        front, background = time_of_add(Path(scratch) / "time")
        print(f"add                            {front:6.3f} µs/record")
        print(f"background                     {background:6.3f} µs/record")
        updates = 20_000
        series = make_series(updates)
        norms = [name for name in series if name.startswith("gradient")]
        for title, names in (
            ("loss alone", ["loss"]),
            ("loss and time", ["loss", "step.time"]),
            ("loss, time, learning rate", ["loss", "step.time", "learning rate"]),
            (f"gradient norms of {PARAMETERS}", norms),
            ("all together", list(series)),
        ):
            print(f"{title:30} {bytes_per_record(series, names, updates):6.2f} bytes/record")
        chance = random.Random(0)
        if kills == 0:
            return
        lost = [kill(Path(scratch) / f"kill{n}", chance.random() * 2) for n in range(kills)]
        print(f"lost in {kills} kills: at most {max(n for n, _ in lost)} records of one run,")
        print(
            f"  the oldest {max(age for _, age in lost):.3f} s before the kill; all {kills} recordings open"
        )


if __name__ == "__main__":
    main()
