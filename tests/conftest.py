"""What every test runs under: one thread, fixed seeds, no outside world, a clean environment."""

import os
import random
import signal
import sys

# Read by torch, OpenMP and BLAS when they are first imported, here and in every subprocess of a test.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
# No test reaches the network.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")

# A runner that was started in the background ignores Ctrl-C, and so would every script of a test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from hypothesis import HealthCheck, settings

# Derandomised: the same commit gives the same result on every machine; `--hypothesis-profile=search`
# looks for new counterexamples.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile("repeatable")

# Variables of a launcher, a terminal or an enclosing losscope run that would change what is tested.
INHERITED = ("LOSSCOPE_", "TORCHELASTIC_", "ACCELERATE_", "PYTORCH_LIGHTNING_")
INHERITED_NAMES = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    *("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "PYTHONWARNINGS", "PYTHONSAFEPATH"),
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name in INHERITED_NAMES or name.startswith(INHERITED):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LOSSCOPE_EXAMINE", "0")  # a test of something else does not wait for an examination


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    """Seed every generator that is already loaded; a test without torch does not pay for importing it."""
    random.seed(0)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(0)
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
        torch.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of the cases of a test that is marked ``thinned(k)``, all but the first of each k are thorough."""
    seen: dict[str, int] = {}
    for item in items:
        mark = item.get_closest_marker("thinned")
        if mark is not None:
            test = item.nodeid.partition("[")[0]
            if seen.setdefault(test, 0) % mark.args[0]:
                item.add_marker(pytest.mark.thorough)
            seen[test] += 1


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is not None:
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")
