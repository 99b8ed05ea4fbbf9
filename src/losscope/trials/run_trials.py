"""All trials of the findings of a run, within a time limit; what came of them goes into ``trials.json``.

The findings are taken in the order of the verdict. A window that cannot be made again, or an experiment that cannot be
made of it, is told with its reason and costs nothing else.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from losscope.core.errors import LosscopeError
from losscope.core.files import write_atomically
from losscope.core.finding import Finding
from losscope.core.text import Message, Text
from losscope.objective.rebuild.refusal import NotRebuildable
from losscope.objective.rebuild.window import KeptWindow
from losscope.recording.trials_file import FILE, Tried, Trials, as_text, document
from losscope.trials.replay import OutOfTime, Replay
from losscope.trials.trial import Outcomes, Trial, trials_of

_PASSES = 4  # seconds of an update, in those of its forward pass
_SLACK = 1.0  # second by which one update may exceed the limit

_NOT_REPLAYABLE = Text(en="not replayable: {why}", zh="无法重放：{why}")
_NEVER = Text(
    en="no {count} consecutive updates were kept: the run was too short, or its budget too small",
    zh="没有保留 {count} 次连续的更新：运行太短，或预算太小",
)
_NO_TIME = Text(en="the time for trials was over: {names}", zh="实验时间已用完：{names}")
_NOT_MADE = Text(en="{name} cannot be made of this run", zh="此次运行无法进行实验 {name}")
_RAISED = Text(en="{name} raised {error}", zh="{name} 出错：{error}")
_LATER = Text(en="{first}; {second}", zh="{first}；{second}")


def run_trials(
    windows: Sequence[KeptWindow], why: Message | None, findings: Sequence[Finding], folder: Path, seconds: float
) -> None:
    """Try all ``findings`` that a person should act on. Writes nothing where no trial judges any of them.

    The time is kept to within one update. Cost in memory: a copy of the model and of its optimiser's state.
    """
    wanted = [(f.code, t) for f in findings if f.severity != "info" for t in trials_of(f.code)]
    if not wanted:
        return
    session = _Session(list(windows), why, time.perf_counter() + seconds)
    for code, trial in wanted:
        session.make(code, trial)
    found = json.dumps(document(session.found), ensure_ascii=False, indent=1)
    write_atomically(folder / FILE, found + "\n")


@dataclass(eq=False)
class _Session:
    windows: list[KeptWindow]
    why: Message | None
    deadline: float
    tried: list[Tried] = field(default_factory=list)
    reasons: list[Message] = field(default_factory=list)
    _replays: dict[int, Replay | Message] = field(default_factory=dict)

    def make(self, code: str, trial: Trial) -> None:
        """One trial, of the window that suits it, or else of another one."""
        if time.perf_counter() > self.deadline:
            self._tell(_NO_TIME(names=trial.name))
            return
        replay = self._replay(trial.early)
        if isinstance(replay, Message):
            self._tell(_NOT_REPLAYABLE(why=replay))
            return
        try:
            found = trial.run(replay, code)
        except OutOfTime:
            self._tell(_NO_TIME(names=trial.name))
        except (LosscopeError, NotRebuildable) as error:
            self._tell(_RAISED(name=trial.name, error=str(error)))
        except Exception as error:  # noqa: BLE001  the user's modules run here: what they raise costs this trial
            self._tell(_RAISED(name=trial.name, error=f"{type(error).__name__}: {error}"))
        else:
            self._add(code, trial, replay, found)
        finally:
            replay.restore()

    def _add(self, code: str, trial: Trial, replay: Replay, found: Outcomes | None) -> None:
        if found is None:
            self._tell(_NOT_MADE(name=trial.name))
            return
        stream, words = replay.window.updates[0].stream, (found.text.render("en"), found.text.render("zh"))
        self.tried.append(Tried(code, stream, found.result, as_text(*words)))

    def _tell(self, reason: Message) -> None:
        if str(reason) not in map(str, self.reasons):
            self.reasons.append(reason)

    def _replay(self, early: bool) -> Replay | Message:
        """A window that can be made again, the first or the last before the others; or why there is none."""
        order = list(range(len(self.windows)))
        why = self.why or _NEVER(count=4)
        for place in order if early else order[::-1]:
            known = self._replays.get(place) or self._made(self.windows[place])
            self._replays[place] = known
            if isinstance(known, Replay):
                return known
            why = known
        return why

    def _made(self, window: KeptWindow) -> Replay | Message:
        forward = max(sum(call.seconds for call in update.calls) for update in window.updates)
        if _PASSES * forward > self.deadline - time.perf_counter() + _SLACK:
            return _NO_TIME(names="replay")
        try:
            return Replay(window, self.deadline)
        except NotRebuildable as refusal:
            return refusal.why
        except LosscopeError as error:
            return _RAISED(name="replay", error=str(error))

    @property
    def found(self) -> Trials:
        """Everything for the document."""
        return Trials(tuple(self.tried), self._reason())

    def _reason(self) -> Text | None:
        if not self.reasons:
            return None
        told = self.reasons[0]
        for more in self.reasons[1:]:
            told = _LATER(first=told, second=more)
        return as_text(told.render("en"), told.render("zh"))
