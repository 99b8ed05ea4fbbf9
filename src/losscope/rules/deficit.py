"""Is the run learning at all? Findings about layers and step sizes are only given where it is not.

Layer statistics alone (small gradients, saturated outputs, negative alignment) raise alarms on healthy runs;
gated on a deficit of learning they do not. Without a deficit such a rule passes.
"""

from typing import Literal

from losscope.core.finding import NotJudged
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules import reasons
from losscope.rules.curve import has_fallen
from losscope.rules.lasting_rise import lasting_rise
from losscope.rules.streams import epochs, losses, main_stream, non_finite_end, progress, updates
from losscope.rules.terms import terms

Deficit = Literal["non-finite", "diverged", "at-chance", "no-fall"]

LONG_ENOUGH = 100
"""Updates after which a loss at chance counts; half of that where the data were passed twice."""
MANY = 1000
"""Updates after which it counts although not one pass over the data has ended."""
LONG_WITHOUT_CHANCE = 200
"""Updates after which a loss that has not fallen counts, where no chance level is known."""


def learning_deficit(recording: Recording) -> Deficit | NotJudged | None:
    """Why the main objective counts as not learning; ``None`` where it learns or is merely undecided.

    In this order: the loss ends non-finite; it has risen for good; it is at chance; or, where no chance level
    is known, it has not fallen after at least 200 updates.
    """
    stream = main_stream(recording)
    if stream is None:
        return reasons.no_loss()
    if non_finite_end(recording, stream):
        return "non-finite"
    judged = progress(recording)
    if isinstance(judged, NotJudged):
        return judged
    curve = losses(recording, stream)
    rise = lasting_rise(recording, stream)
    if isinstance(rise, NotJudged):
        return rise
    if rise is not None:
        return "diverged"
    skills = [s for term in terms(recording, stream) if (s := term.skill()) is not None]
    if skills:
        return "at-chance" if all(s.at_chance() for s in skills) else None
    waited = long_enough(recording, stream) and updates(recording, stream) >= LONG_WITHOUT_CHANCE
    return "no-fall" if waited and not has_fallen(curve, sigmas=1.5) else None


def long_enough(recording: Recording, stream: str) -> bool:
    """At least one pass over the data and 100 updates; 50 suffice after two passes, 1000 without any."""
    seen, passes = updates(recording, stream), epochs(recording)
    begun = len(recording.series(signals.EPOCH, "")) > 0
    if begun and passes == 0:
        return seen >= MANY
    return seen >= (LONG_ENOUGH // 2 if passes >= 2 else LONG_ENOUGH)
