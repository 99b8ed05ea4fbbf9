"""``kill -9`` at any moment loses at most what was added in the last second."""

import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from losscope.recording import signals
from losscope.recording.reader import Recording

KILLS = 8
LAST_SECONDS = 1.0

CHILD = """
import os, struct, sys, time
from losscope.recording import signals
from losscope.recording.writer import Recorder
recorder = Recorder(sys.argv[1])
add = recorder.series(signals.LOSS, "0").add
log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
step = 0
while True:
    add(step, step * 0.5)
    os.write(log, struct.pack("<d", time.monotonic()))  # in the page cache: survives the kill
    if step % 100 == 0:
        recorder.event("model", step=step)
    step += 1
    time.sleep(0.0005)
"""


def kill_at_a_random_moment(folder: Path, wait: float) -> None:
    log = folder / "added"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder / "run"), str(log)])
    try:
        while not log.exists() and child.poll() is None:
            time.sleep(0.005)
        time.sleep(wait)
    finally:
        killed = time.monotonic()
        os.kill(child.pid, signal.SIGKILL)
        child.wait(60)
    added = np.array(
        [t for (t,) in struct.iter_unpack("<d", log.read_bytes()[: log.stat().st_size // 8 * 8])]
    )
    recording = Recording.open(folder / "run")
    series = recording.series(signals.LOSS, "0")
    assert series.steps.tolist() == list(range(len(series)))
    assert series.values.tolist() == [s * 0.5 for s in range(len(series))]
    assert len(series) >= np.count_nonzero(added < killed - LAST_SECONDS)
    told = [event["step"] for event in recording.events_of("model")]
    assert told == list(range(0, 100 * len(told), 100))
    assert len(told) >= (len(added) + 99) // 100


def test_kills(tmp_path: Path) -> None:
    chance = random.Random(0)
    for number in range(KILLS):
        (tmp_path / str(number)).mkdir()
        kill_at_a_random_moment(
            tmp_path / str(number), chance.choice([0.0, 0.3, 1.2]) + chance.random() * 0.6
        )
