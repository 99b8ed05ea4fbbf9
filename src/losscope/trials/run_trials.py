"""All trials of the findings of a run, within a time limit; what came of them goes into ``trials.json``.

The findings are taken in the order of the verdict. A window that cannot be made again, or an experiment that cannot be
made of it, is told with its reason and costs nothing else.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from losscope.core.errors import LosscopeError
from losscope.core.files import write_atomically
from losscope.core.finding import Finding
from losscope.core.text import Message, Text
from losscope.objective.rebuild.refusal import NotRebuildable
from losscope.objective.rebuild.window import KeptWindow
from losscope.recording.trials_file import FILE, Trials, Tried, as_text, document
from losscope.trials.replay import LEAST, SLACK, OutOfTime, Replay
from losscope.trials.trial import Outcomes, Trial, trials_of

Progress = Callable[[int, int, str], None]

_PASSES = 4  # seconds of an update, in those of its forward pass
_RANK = ("confirmed", "open", "refuted")

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
    windows: Sequence[KeptWindow],
    why: Message | None,
    findings: Sequence[Finding],
    folder: Path,
    seconds: float,
    progress: Progress | None = None,
) -> None:
    """Try all ``findings`` that a person should act on. Writes nothing where no trial judges any of them.

    The time is kept to within one update. Cost in memory: a copy of the model and of its optimiser's state.
    """
    wanted = [(f.code, t) for f in findings if f.severity != "info" for t in trials_of(f.code)]
    if not wanted:
        return
    session = _Session(list(windows), why, time.perf_counter() + seconds)
    for done, (code, trial) in enumerate(wanted):
        if progress is not None:
            progress(done, len(wanted), code)
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
    late: list[str] = field(default_factory=list)
    _replays: dict[int, Replay | Message] = field(default_factory=dict)

    def make(self, code: str, trial: Trial) -> None:
        """One trial: a window that confirms is enough, to refute takes all that were kept."""
        order = list(range(len(self.windows)))
        found: list[Outcomes | None] = []
        for place in order if trial.early else order[::-1]:
            outcome = self._of_window(place, code, trial)
            found.append(outcome)
            if outcome is not None and outcome.result.outcome == "confirmed":
                break
        if not order:
            self._tell(_NOT_REPLAYABLE(why=self.why or _NEVER(count=LEAST)))
        known = [outcome for outcome in found if outcome is not None]
        if not known:
            return
        chosen = min(known, key=lambda outcome: _RANK.index(outcome.result.outcome))
        if chosen.result.outcome == "refuted" and len(known) < len(found):
            chosen = replace(chosen, result=replace(chosen.result, outcome="open"))
        stream = self.windows[0].updates[0].stream
        text = as_text(chosen.text.render("en"), chosen.text.render("zh"))
        self.tried.append(Tried(code, stream, chosen.result, text, trial.expected))

    def _of_window(self, place: int, code: str, trial: Trial) -> Outcomes | None:
        if time.perf_counter() > self.deadline:
            self.late.append(trial.name)
            return None
        replay = self._replays.get(place) or self._made(self.windows[place])
        self._replays[place] = replay
        if isinstance(replay, Message):
            self._tell(_NOT_REPLAYABLE(why=replay))
            return None
        try:
            found = trial.run(replay, code)
            if found is None:
                self._tell(_NOT_MADE(name=trial.name))
            return found
        except OutOfTime:
            self.late.append(trial.name)
        except (LosscopeError, NotRebuildable) as error:
            self._tell(_RAISED(name=trial.name, error=str(error)))
        except (Exception, SystemExit) as error:  # noqa: BLE001  the user's modules run here: it costs this trial
            self._tell(_RAISED(name=trial.name, error=f"{type(error).__name__}: {error}"))
        finally:
            replay.restore()
        return None

    def _tell(self, reason: Message) -> None:
        if str(reason) not in map(str, self.reasons):
            self.reasons.append(reason)

    def _made(self, window: KeptWindow) -> Replay | Message:
        forward = max(sum(call.seconds for call in update.calls) for update in window.updates)
        if _PASSES * forward > self.deadline - time.perf_counter() + SLACK:
            return _NO_TIME(names="replay")
        try:
            return Replay(window, self.deadline)
        except NotRebuildable as refusal:
            return refusal.why
        except LosscopeError as error:
            return _RAISED(name="replay", error=str(error))
        except SystemExit as error:
            return _RAISED(name="replay", error=f"SystemExit: {error}")

    @property
    def found(self) -> Trials:
        """Everything for the document."""
        return Trials(tuple(self.tried), self._reason())

    def _reason(self) -> Text | None:
        late = [_NO_TIME(names=", ".join(dict.fromkeys(self.late)))] if self.late else []
        reasons = [*self.reasons, *late]
        if not reasons:
            return None
        told = reasons[0]
        for more in reasons[1:]:
            told = _LATER(first=told, second=more)
        return as_text(told.render("en"), told.render("zh"))
