"""One watched process, from the first hook to the verdict."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losscope.core.errors import BadUsage, LosscopeError
from losscope.core.text import LANGUAGES, Language
from losscope.core.verdict import Verdict
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.run_folder import cannot_record, claim_run_folder, new_run_folder
from losscope.recording.writer import Recorder
from losscope.watching.after_run import after_run, try_findings
from losscope.watching.conditions import usual_conditions
from losscope.watching.import_hook import WhenImported, when_imported
from losscope.watching.not_compiled import leave_alone
from losscope.watching.options import RunOptions
from losscope.watching.publishing import publish
from losscope.watching.run_folder import RUNS, rank_of, run_folder, world_size
from losscope.watching.turns import TURNS
from losscope.watching.voice import Voice

if TYPE_CHECKING:
    from losscope.watching.hooks import Hooks
    from losscope.watching.watch import Watch


class LazyRecorder:
    """Makes the recorder when the first thing is to be written: a process that never trains leaves nothing."""

    def __init__(self, folder: Path, rank: int) -> None:
        self._folder, self._rank = folder, rank
        self.recorder: Recorder | None = None

    def make(self) -> Recorder:
        if self.recorder is None:
            self.recorder = Recorder(self._folder, self._rank)
        return self.recorder

    def series(self, signal: signals.Signal, label: str = "") -> Any:
        return self.make().series(signal, label)

    def event(self, kind: str, /, **fields: Any) -> None:
        self.make().event(kind, **fields)


class Session:
    """Watches this process: :meth:`start` before user code, then :meth:`script_ended` and :meth:`finish`.

    ``target`` is what is run, for the record. With ``options.launched`` nothing is written before the
    first training step, and the verdict is left to the process that started this one.
    """

    def __init__(self, options: RunOptions, target: str) -> None:
        self._options, self._target = options, target
        self._rank = rank_of()
        self._voice = Voice()
        self.folder = Path()
        self._pid = os.getpid()
        self._recorder: LazyRecorder | None = None
        self._watch: Watch | None = None
        self._hooks: Hooks | None = None
        self._finder: WhenImported | None = None
        self._dynamo: WhenImported | None = None
        self._began = time.perf_counter()
        self._ended = 0.0
        self._installing = 0.0
        self._done = self._paused = False

    def start(self) -> None:
        """Open the run folder and hook torch now, or as soon as the script imports it.

        An unwritable folder costs the record, not the run: one line on stderr says so.
        """
        began = time.perf_counter()
        try:
            self.folder = self._open_folder().absolute()  # the script may change directory
        except OSError as error:
            self._voice.say(cannot_record(error, self._options.out))
            self._done = True
            return
        self._recorder = LazyRecorder(self.folder, self._rank)
        TURNS.take(self)
        if not self._options.launched:
            self._recorder.make()
            self._recorder.event("run-start", argv=list(sys.argv), script=self._target)
        self._finder = when_imported("torch", lambda module: self._torch_is_there())
        self._installing = time.perf_counter() - began  # that of torch's hooks too, where they were set now

    def script_ended(self, status: str, exit_code: int | None, exception: BaseException | None) -> None:
        """The user's code is over; ``status`` says how."""
        if self._done or self._forked():
            return
        self._ended = time.perf_counter()
        self._stop_watching()
        if self._recorder is not None and self._recorder.recorder is not None:
            text = None if exception is None else f"{type(exception).__name__}: {exception}"[:2000]
            self._recorder.event("script-end", status=status, exit_code=exit_code, exception=text)

    def finish(self) -> Verdict | None:
        """Close the record, judge it, write and print the reports. Rank 0 does so for all ranks."""
        if self._done or self._forked():
            return None
        self._done = True
        if not self._ended:
            self._ended = time.perf_counter()
            self._stop_watching()
        recorder = self._recorder.recorder if self._recorder else None
        if recorder is None:
            return None
        ran = self._ended - self._began
        if self._tries and self._watch is not None and self._watch.streams.last_step:
            recorder.flush()
            seconds, lang = min(self._options.trials, ran), self._options.lang
            judge = partial(judge_quietly, self.folder, self._options)
            ran -= try_findings(self._watch, recorder, self.folder, judge, lang, self._voice, seconds)
        if self._examines and self._watch is not None:
            seconds = min(self._options.examine, ran)
            after_run(self._watch, recorder, self.folder, seconds, self._options.lang, self._voice)
        recorder.close()
        if recorder.failed:
            self._voice.say(recorder.failed)
        if self._options.launched or self._rank != 0:
            return None
        return judge_folder(self.folder, self._options, self._voice)

    def conclude(self, status: str, exception: BaseException | None) -> Verdict | None:
        """Both at once, for a process that goes on afterwards: a fault of ours must not reach it."""
        try:
            self.script_ended(status, None, exception)
            return self.finish()
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the user's code
            self._voice.say(f"fault while judging: {error!r}")
            return None
        finally:
            if self._hooks is not None:
                self._hooks.remove()
            TURNS.leave(self)

    def pause(self, folder: Path) -> None:
        """Another session begins in this process and records into ``folder`` until it ends."""
        self._paused = True
        if self._hooks is not None and self._watch is not None:
            self._hooks.remove()
            self._watch.governor.pause()
        if self._recorder is not None and not self._options.launched:
            why = f"a watch that began inside this one recorded it: {folder}"
            self._recorder.event("blind-spot", what="part of the training", why=why)

    def resume(self) -> None:
        """The other session has ended."""
        self._paused = False
        if self._hooks is not None and self._watch is not None:
            self._hooks.install()
            self._watch.governor.resume()
        elif "torch" in sys.modules:
            self._torch_is_there()

    def after_fork_in_child(self) -> None:
        """A forked child inherits our hooks: it is quiet from its first moment."""
        if self._watch is not None:
            self._watch.off = True

    @property
    def _examines(self) -> bool:
        """Whether the objective is examined at the end: not by one rank of many, whose parts lie elsewhere."""
        return self._options.examine > 0 and not self._options.launched and world_size() == 1

    @property
    def _tries(self) -> bool:
        """Whether findings are tried by experiments at the end, for the same reasons."""
        return self._options.trials > 0 and not self._options.launched and world_size() == 1

    @property
    def watch(self) -> "Watch | None":
        return self._watch

    def _forked(self) -> bool:
        return os.getpid() != self._pid

    def _open_folder(self) -> Path:
        if self._options.launched and self._options.out is not None:
            return self._options.out
        if world_size() > 1:
            return self._options.out or run_folder(self._target)
        if self._options.out is None:
            return new_run_folder(RUNS, self._target)
        folder = claim_run_folder(self._options.out, self._target)
        if folder != self._options.out:
            self._voice.say(f"{self._options.out} holds a run already; recording in {folder}")
        return folder

    def _torch_is_there(self) -> None:
        if self._paused:
            return
        began = time.perf_counter()
        try:
            self._install()
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            self._voice.say(f"cannot watch torch: {error!r}; the script runs unwatched")
        self._installing += time.perf_counter() - began

    def _install(self) -> None:
        from losscope.watching.assembly import assemble  # lazy: torch is there only now

        assert self._recorder is not None
        before = time.perf_counter() - self._began - self._installing
        self._watch, self._hooks = assemble(self._recorder, self._options.budget / 100, before)
        self._watch.deep.keeper.wanted = self._examines
        self._watch.deep.window.wanted = self._tries
        self._hooks.install()
        # torch.compile of a whole step would otherwise trace into our hooks and compile them.
        self._dynamo = when_imported("torch._dynamo.trace_rules", leave_alone)
        for what, why in self._hooks.blind:
            self._recorder.event("blind-spot", what=what, why=why)

    def _stop_watching(self) -> None:
        for finder in (self._finder, self._dynamo):
            if finder in sys.meta_path:
                sys.meta_path.remove(finder)
        watch = self._watch
        if watch is not None and self._recorder is not None and self._recorder.recorder is not None:
            watch.finish()
            self._write_costs(watch, self._recorder.recorder)
        if watch is not None:
            watch.off = True

    def _write_costs(self, watch: "Watch", recorder: Recorder) -> None:
        if not watch.streams.last_step:
            return  # nothing was trained here: leave no record that could be taken for the run's own
        spent = watch.governor.cost + self._installing + recorder.background_seconds
        recorder.series(signals.WATCH_SECONDS).add(watch.streams.last_step, spent)
        took = self._ended - self._began
        # The cost holds estimates of what cannot be timed, which may exceed a run of milliseconds.
        without = took - spent if took > spent else took - self._installing - watch.governor.spent
        recorder.update_run(
            watch_seconds=spent,
            watch_start_seconds=self._installing + watch.governor.first,
            script_seconds=without,
        )


def judge_folder(folder: Path, options: RunOptions, voice: Voice | None = None) -> Verdict | None:
    """Judge a finished recording, write its reports beside it, print the verdict on stderr."""
    voice = voice or Voice()
    with usual_conditions():
        from losscope.rules.judge import judge_run  # lazy: rules load scipy, which training need not pay for

        try:
            recording = Recording.open(folder)
        except LosscopeError as error:
            voice.say(str(error))
            return None
        verdict = judge_run(recording, select=options.select or None, ignore=options.ignore or None)
        publish(verdict, recording.focused(verdict.streams), folder, options.lang, voice)
    return verdict


def judge_quietly(folder: Path, options: RunOptions) -> Verdict | None:
    """The verdict on what is recorded so far, for ourselves; ``None`` where it cannot be read."""
    with usual_conditions():
        from losscope.rules.judge import judge_run  # lazy: rules load scipy, which training need not pay for

        try:
            recording = Recording.open(folder)
        except LosscopeError:
            return None
        return judge_run(recording, select=options.select or None, ignore=options.ignore or None)


class Watching:
    """Handle of ``with losscope.watch() as w``: ``w.folder`` at once, ``w.verdict`` afterwards."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.verdict: Verdict | None = None

    @property
    def folder(self) -> Path:
        """The run folder, with ``report.html`` and ``verdict.json`` once the block has ended."""
        return self._session.folder

    def __repr__(self) -> str:
        return f"<losscope.watch folder={str(self.folder)!r} verdict={self.verdict and str(self.verdict.sentence)!r}>"


@contextmanager
def watch(
    out: str | Path | None = None,
    budget: float = 3.0,
    lang: Language = "en",
    examine: float = 0.0,
    trials: float = 0.0,
) -> Iterator[Watching]:
    """Watch the training inside a ``with`` block, as ``losscope run`` watches a script.

    ``out`` is the run folder (default ``.losscope/<name>-<UTC time>``), ``budget`` the allowed overhead in
    percent, ``examine`` and ``trials`` how many seconds the objective may be examined, and findings be tried by
    experiments, when the block has ended, together never longer than the block took. The verdict is printed and,
    as ``w.verdict``, returned when the block ends, also when it ends by an exception, which then goes on its way.

    >>> with losscope.watch() as w:  # doctest: +SKIP
    ...     train(model, loader)
    >>> w.verdict.state  # doctest: +SKIP
    'healthy'
    """
    if lang not in LANGUAGES:
        raise BadUsage(
            "losscope.watch knows no such language", seen=repr(lang), remedy=f"lang is one of {LANGUAGES}"
        )
    if not (isinstance(budget, int | float) and budget >= 0):
        raise BadUsage(
            "the budget of losscope.watch is no percentage", seen=repr(budget), remedy="use 3 for 3 %"
        )
    options = RunOptions(
        out=Path(out) if out else None, budget=budget, lang=lang, examine=examine, trials=trials
    )
    session = Session(options, "watch")
    handle = Watching(session)
    session.start()
    status, exception = "finished", None
    try:
        yield handle
    except BaseException as error:
        if not isinstance(error, GeneratorExit):  # an abandoned generator ends its block without a fault
            status, exception = "interrupted" if isinstance(error, KeyboardInterrupt) else "exception", error
        raise
    finally:
        handle.verdict = session.conclude(status, exception)
