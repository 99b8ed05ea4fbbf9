"""What is done with a run when the script is over and before it is judged: the examination of its objective.

It is found by discovery, since its room lies beside this one. The process may go on afterwards (``losscope.watch``),
and the examination runs the forward pass of the user's modules: random states, default settings and printed text are
therefore taken care of. A fault, or an interruption, costs the examination and nothing else.
"""

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from losscope.core.registry import discover
from losscope.core.text import Language
from losscope.core.verdict import Verdict
from losscope.recording.writer import Recorder
from losscope.watching.conditions import usual_conditions
from losscope.watching.progress_line import TRYING, progress_line
from losscope.watching.voice import Voice

if TYPE_CHECKING:
    from losscope.watching.watch import Watch

PACKAGE = "losscope.examination"


def after_run(
    watch: "Watch", recorder: Recorder, folder: Path, seconds: float, language: Language, voice: Voice
) -> None:
    """Call every ``AFTER_RUN(keeper, folder, seconds, progress)`` of the examination, within ``seconds`` in all."""
    if not watch.streams.last_step or seconds <= 0:
        return
    try:
        watch.deep.keeper.made = watch.streams.last_step
        with usual_conditions(), progress_line(voice.terminal(), seconds, language) as progress, _apart():
            for step in discover(PACKAGE, "AFTER_RUN").values():
                step(watch.deep.keeper, folder, seconds, progress)
    except KeyboardInterrupt:
        recorder.event("blind-spot", what="the examination", why="interrupted")
    except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
        recorder.event("fault", where="examination", error=f"{type(error).__name__}: {error}")


def try_findings(
    watch: "Watch",
    recorder: Recorder,
    folder: Path,
    judge: Callable[[], Verdict | None],
    language: Language,
    voice: Voice,
    seconds: float,
) -> float:
    """Experiments on the findings of a first verdict, on copies, within ``seconds``; how long they took.

    An interruption, by a user who does not want to wait, costs the experiments and not the verdict.
    """
    began, window = time.perf_counter(), watch.deep.window
    try:
        verdict = judge()
        if verdict is None or all(f.severity == "info" for f in verdict.findings):
            return 0.0
        if verdict.streams and all(w.updates[0].stream not in verdict.streams for w in window.found):
            return 0.0
        from losscope.trials.run_trials import run_trials  # lazy: torch is there only now

        line = progress_line(voice.terminal(), seconds, language, TRYING)
        with usual_conditions(), line as progress, _apart():
            run_trials(window.found, window.why, verdict.findings, folder, seconds, progress)
    except KeyboardInterrupt:
        recorder.event("blind-spot", what="the trials", why="interrupted")
    except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
        recorder.event("fault", where="trials", error=f"{type(error).__name__}: {error}")
    return time.perf_counter() - began


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Nothing printed, nothing drawn, nothing set that lasts."""
    import torch  # lazy: where nothing was trained this is not reached

    from losscope.losses.graph.trace import RandomState  # lazy: the same

    random, dtype, hook = RandomState(), torch.get_default_dtype(), sys.displayhook
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() and torch.cuda.is_initialized() else None
    anomaly = torch.is_anomaly_enabled()
    try:
        torch.set_default_dtype(torch.float32)
        torch.autograd.set_detect_anomaly(False)
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            torch.enable_grad(),
            torch.device("cpu"),
        ):
            yield
    finally:
        torch.autograd.set_detect_anomaly(anomaly)
        torch.set_default_dtype(dtype)
        sys.displayhook = hook
        random.restore()
        if cuda is not None:
            torch.cuda.set_rng_state(cuda)
