"""What a trial is: a counterfactual experiment on a replay that confirms, refutes or leaves open a finding.

A trial is one file in this package with ``TRIAL`` at module level; it is found by discovery. Its docstring says what is
changed, what counts as an answer, and why.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from losscope.core.finding import TrialResult
from losscope.core.registry import discover
from losscope.core.text import Message, Text
from losscope.trials.replay import Replay

Outcome = Literal["confirmed", "refuted", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What came of a trial: the figures and curves, and in one sentence what was done and seen."""

    result: TrialResult
    text: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """``run(replay, code)`` answers about the finding ``code``; ``None`` where the experiment cannot be made.

    ``expected`` is what would be seen if the finding were wrong. ``early``: the first window of the run is taken
    before the last. One window is enough to confirm a finding; to refute it takes all that were kept.
    """

    name: str
    judges: tuple[str, ...]
    expected: Text
    run: Callable[[Replay, str], Outcomes | None]
    early: bool = True


def all_trials() -> list[Trial]:
    """Every trial, by name."""
    return sorted(discover("losscope.trials", "TRIAL").values(), key=lambda trial: trial.name)


def trials_of(code: str) -> list[Trial]:
    """The trials that judge a finding."""
    return [trial for trial in all_trials() if code in trial.judges]
