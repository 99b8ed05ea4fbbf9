"""What the rules about the size of updates share."""

import numpy as np

from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.series import EMPTY, Series
from losscope.rules.curve import has_fallen
from losscope.rules.streams import events_of, losses, values
from losscope.rules.terms import terms

_SKILL, _AGREE = 0.2, 0.5
_SCALE_FREE = ("adam", "rmsprop", "adagrad", "adadelta", "lion", "lamb", "adafactor", "rprop", "muon")
_SETTLED = 8  # updates

_REMEDY = Text(
    en="Try a learning rate of {new:g} in place of {old:g}.",
    zh="把学习率从 {old:g} 改为 {new:g} 试试。",
)
_REMEDY_ZERO = Text(
    en="Set a learning rate above 0, such as 0.001, and look at the scheduler that may have set it to 0.",
    zh="设置大于 0 的学习率，例如 0.001，并检查是否有调度器把它设为 0。",
)
_REMEDY_FACTOR = Text(
    en="Multiply the learning rate by {factor:g}.",
    zh="把学习率乘以 {factor:g}。",
)


def learning_rate(recording: Recording, stream: str) -> float | None:
    """The largest learning rate of any parameter group, over the whole run."""
    labels = [label for label in recording.labels(signals.LEARNING_RATE) if label.split("/")[0] == stream]
    found = [
        float(rates.max())
        for label in labels
        if (rates := values(recording, signals.LEARNING_RATE, label)).size
    ]
    return max(found, default=None)


def grows_with_gradient(recording: Recording, stream: str) -> bool:
    """Whether the step of the optimiser grows with its gradient, so that a factor of the loss changes it."""
    names = [str(e.get("name", "")).lower() for e in events_of(recording, "optimizer", stream)]
    return not any(free in name for name in names for free in _SCALE_FREE)


def warming_up(recording: Recording, stream: str, updates: int) -> bool:
    """The learning rate was still being raised in the last tenth of the run."""
    for label in recording.labels(signals.LEARNING_RATE):
        series = recording.series(signals.LEARNING_RATE, label)
        late = series.values[series.steps >= 0.9 * updates]
        if label.split("/")[0] == stream and late.size and late[-1] >= series.values.max() > series.values[0]:
            return True
    return False


def remedy_factor(rate: float | None, factor: float) -> Message:
    """One concrete change of the learning rate."""
    if rate == 0:
        return _REMEDY_ZERO()
    if rate is None:
        return _REMEDY_FACTOR(factor=factor)
    return _REMEDY(new=float(f"{rate * factor:.3g}"), old=rate)


def promises(recording: Recording, stream: str) -> Series:
    """What sampled updates promise by the loss above its floor at them: −⟨g, Δθ⟩ / (L − floor), in order.

    1 is the step of Polyak (1987), which is exact where the loss falls along a straight line: beyond it the gradient
    promises more than there is. From 2 on the minimum of a quadratic along the step is passed for sure, and the
    distance to the minimisers of a convex loss need no longer shrink. Left out are the first eight updates, which
    Adam makes without a history. Empty where the floor of a term is unknown, or the value of the loss no progress.
    """
    found = terms(recording, stream)
    if not found or any(term.floor is None or term.coefficient < 0 for term in found):
        return EMPTY
    floor = sum(term.coefficient * term.floor for term in found if term.floor is not None)
    promised, loss = recording.series(signals.PROMISED_FALL, stream), recording.series(signals.LOSS, stream)
    steps, ours, theirs = np.intersect1d(promised.steps, loss.steps, return_indices=True)
    above = loss.values[theirs] - floor
    kept = (steps >= _SETTLED) & (above > 0) & np.isfinite(promised.values[ours]) & np.isfinite(above)
    return Series(steps[kept], promised.values[ours][kept] / above[kept])


def has_hardly_learnt(recording: Recording, stream: str) -> bool:
    """The skill is below 0.2; without a chance level: no fall although successive gradients agree."""
    skills = [found for term in terms(recording, stream) if (found := term.skill()) is not None]
    if skills:
        return all(found.high < _SKILL for found in skills)
    cosines = values(recording, signals.ALIGNMENT, stream)
    agree = cosines.size >= 3 and float(np.median(cosines)) > _AGREE
    return agree and not has_fallen(losses(recording, stream), sigmas=1.5)
