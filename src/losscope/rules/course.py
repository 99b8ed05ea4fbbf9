"""What the loss of the main stream did, decided once: status, state and sentence all rest on this.

The trend test speaks of the last half of the run, :func:`losscope.rules.curve.has_fallen` of all of it; where the
first is undecided the second decides, and a direction that noise hides is never called convergence.
"""

from collections.abc import Sequence
from typing import Literal

from losscope.core.finding import Finding, NotJudged
from losscope.core.verdict import Status
from losscope.recording.reader import Recording
from losscope.rules.curve import Curve, has_fallen, loss_curve
from losscope.rules.reasons import MIN_UPDATES
from losscope.rules.statistics.skill import Skill
from losscope.rules.streams import is_aimless, losses, main_stream, updates
from losscope.rules.terms import terms

Course = Literal[
    "unseen",
    "too-short",
    "diverged",
    "stuck",
    "swinging",
    "aimless-fall",
    "aimless",
    "unjudged",
    "converged",
    "falling",
    "fell",
    "rose",
    "steady",
    "unsettled",
]
STATUS: dict[Course, Status] = {
    "unseen": "too-short",
    "too-short": "too-short",
    "diverged": "diverged",
    "stuck": "stuck",
    "swinging": "oscillating",
    "aimless-fall": "falling",
    "aimless": "oscillating",
    "unjudged": "too-short",
    "converged": "converged",
    "falling": "falling",
    "fell": "falling",
    "rose": "oscillating",
    "steady": "converged",
    "unsettled": "oscillating",
}
"""``fell``: lower than at the start, direction hidden by noise; ``rose``: lower than at the start, but rising over
the last half; ``steady`` and ``unsettled``: better than chance from the start on, without and with noise that
hides a trend; ``aimless``: the value is no measure of progress."""
INCONCLUSIVE: frozenset[Course] = frozenset({"unseen", "too-short", "stuck", "unjudged"})
"""Without a finding such a run is neither healthy nor faulty: there is not enough evidence."""
AIMLESS: frozenset[Course] = frozenset({"aimless", "aimless-fall"})

_STUCK = frozenset({"loss-at-chance", "loss-below-chance", "plateau-above-floor"})


def course(recording: Recording, findings: Sequence[Finding]) -> Course:
    """Findings of severity error or warning decide first, then the trend test, then the fall over all."""
    stream = main_stream(recording)
    codes = {f.code for f in findings if f.severity != "info"}
    if any(f.code == "non-finite" and f.severity == "error" for f in findings) or "diverging-loss" in codes:
        return "diverged"
    if stream is None:
        return "unseen"
    if updates(recording, stream) < MIN_UPDATES:
        return "too-short"
    if codes & _STUCK:
        return "stuck"
    curve = loss_curve(recording)
    if isinstance(curve, NotJudged):
        return _not_judged(recording, stream)
    return "swinging" if "learning-rate-too-high" in codes else _by_trend(recording, curve)


def skills(recording: Recording, stream: str) -> list[Skill]:
    """Skill of every term whose chance level is known."""
    return [found for term in terms(recording, stream) if (found := term.skill()) is not None]


def worse_than_chance(recording: Recording) -> bool:
    """Every term with a chance level ends above it, beyond the error of both."""
    stream = main_stream(recording)
    found = skills(recording, stream) if stream is not None else []
    return bool(found) and all(skill.high < 0 for skill in found)


def _not_judged(recording: Recording, stream: str) -> Course:
    """Objectives whose value is no progress have only a direction; other curves are too sparse to judge."""
    if not is_aimless(recording, stream):
        return "unjudged"
    kept = losses(recording, stream)
    return "aimless-fall" if kept.size >= MIN_UPDATES and has_fallen(kept) else "aimless"


def _by_trend(recording: Recording, curve: Curve) -> Course:
    """A loss that has not fallen is stuck, unless its level is known to be better than chance (fine-tuning)."""
    below = curve.last <= curve.first  # a fall from a burst after the start is not one
    direction = curve.trend.direction
    if direction == "falling" and below:
        return "falling"
    fell = below and has_fallen(curve.losses, sigmas=1.5)
    if not fell and not any(skill.low > 0 for skill in skills(recording, curve.stream)):
        return "stuck"
    if direction == "converged":
        return "converged" if below and has_fallen(curve.losses) else "steady"
    if not fell:
        return "unsettled"
    return "rose" if direction == "rising" else "fell"
