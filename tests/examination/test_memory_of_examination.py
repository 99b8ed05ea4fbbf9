"""Memory: a model of 25 million parameters within 8 GB, and none that grows with the number of probes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

PROBES = """
import resource, torch
from losscope.estimators.spectrum.spectral_density import spectral_density
from losscope.estimators.traces.hutchinson import hutchinson
from losscope.operators.operator import LinearOperator

class Diagonal(LinearOperator):
    def apply(self, vectors):
        return vectors * self.values[:, None]

op = Diagonal(1_000_000, torch.float32, torch.device("cpu"))
op.values = torch.linspace(-1, 1, op.size)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def grown(run):
    run(2)
    before = peak()
    run(12)
    return peak() - before

print(grown(lambda k: hutchinson(op, rtol=0, products=16 * k)))
print(grown(lambda k: spectral_density(op, probes=2 * k, steps=8, memory=2 * 8 * 8 * op.size)))
"""


def environment():
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(HERE.parents[1] / "src"),
    }


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_25_million_parameters_are_examined_in_8_gigabytes():
    script = str(HERE / "memory_of_examination.py")
    done = subprocess.run(
        [sys.executable, script, "4900", "120", "float64"],
        check=True,
        capture_output=True,
        text=True,
        env=environment(),
    )
    found = json.loads(done.stdout)
    assert found["size"] > 24_000_000 and found["peak"] < 8e9
    assert {"value", "noise", "sharpness"} <= {*found["looks"]}


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_number_of_probes():
    done = subprocess.run(
        [sys.executable, "-c", PROBES], check=True, capture_output=True, text=True, env=environment()
    )
    vectors, basis = (int(line) for line in done.stdout.split())
    assert vectors < 8 * 8 * 1_000_000  # a block of eight vectors in double precision
    assert (
        basis < 2 * 8 * 8 * 1_000_000
    )  # the vectors of one group of probes, of which there were 2 and then 12
