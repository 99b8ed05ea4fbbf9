"""The governor: keeps the watch's own time within a share of the script's time.

Two knobs. *Deep samples* (norms, anatomy, statistics) are bought from an account that fills with
``share × elapsed`` seconds and is charged with every second the watch spends, so their number follows
from what they cost. If even the per-step reading costs more than its share (steps of a few tens of
microseconds) the *stride* widens: only every 3rd, 7th … update is then looked at.
"""

from dataclasses import dataclass, field
from time import perf_counter

_DEEP_LEAST = 0.2  # of the budget is kept for deep samples, however much the per-step reading costs
_STRIDES = (1, 3, 7, 17, 37, 79, 163, 331, 661, 1321)  # odd, so that alternating streams take turns
# Own time costs the script this much more than is measured: caches are colder after it (benchmarks/overhead).
_INDIRECT = 2.2
# Part of the budget that is planned with, so that what cannot be measured from inside fits into the rest.
_AIM = 0.6
# Early dynamics are worth more: these updates are sampled where that is affordable.
_WARM_UP = frozenset((0, 1, 2, 3, 5, 8, 13, 21, 34, 55))
_WARM = max(_WARM_UP)
_LEAST_GAP = 7  # updates between two deep samples; odd, so that a GAN's two streams take turns
_SPREAD = 40  # the gap is at least a 40th of the run so far: samples reach to its end, evenly on a log scale
_FORGET = 0.3  # weight of the newest deep sample in the running cost


@dataclass(slots=True)
class Governor:
    """``spent`` is all of the watch's own time in seconds; callers add to it."""

    share: float
    began: float = field(default_factory=perf_counter)
    spent: float = 0.0
    stride: int = 1
    look_at: int = 0
    deep_cost: float = 0.0
    _last_deep: int = -(10**9)
    _deep_spent: float = 0.0
    _sampled: bool = False
    _first: float = 0.0
    _mark_time: float = field(default_factory=perf_counter)
    _mark_spent: float = 0.0

    @property
    def elapsed(self) -> float:
        return perf_counter() - self.began

    def overhead(self) -> float:
        """Own time ÷ the time the script would have taken without us."""
        own = max(self.elapsed - self.spent, 1e-9)
        return self.spent / own

    def wants_deep(self, update: int) -> bool:
        """Whether this update may be sampled deeply. The first always is: it reads the objective.

        ``look_at`` is set to the next update for which asking again makes sense.
        """
        if not self._sampled:
            return True
        gap = max(_LEAST_GAP, update // _SPREAD) | 1
        due = update in _WARM_UP or update - self._last_deep >= gap
        allowance = _AIM * self.share * (self.elapsed - self.spent)
        shallow = min(self.spent - self._deep_spent - self._first, (1 - _DEEP_LEAST) * allowance)
        wanted = due and self._deep_spent + self.deep_cost < allowance - shallow
        self.look_at = (
            update + 1 if wanted or update < _WARM else max(self._last_deep + gap, update + _LEAST_GAP)
        )
        return wanted

    def charge_deep(self, step: int, seconds: float) -> None:
        """Book a deep sample: the account pays it, the running cost learns from it.

        The very first one also loads the catalogue and walks the whole graph; it is part of
        ``spent``, but says nothing about what the next one costs.
        """
        self._last_deep = step
        if not self._sampled:
            self._sampled = True
            self._first = seconds
            return
        self._deep_spent += seconds
        self.deep_cost = (1 - _FORGET) * self.deep_cost + _FORGET * seconds if self.deep_cost else seconds

    def charge_extra(self, seconds: float) -> None:
        """Book what a deep sample costs on the update after it."""
        self._deep_spent += seconds

    def adapt(self) -> bool:
        """Every 64 updates that were read: widen or narrow the stride. True when it changed."""
        now = perf_counter()
        shallow = self.spent - self._deep_spent - self._first
        load = _INDIRECT * (shallow - self._mark_spent) / max(now - self._mark_time, 1e-9)
        self._mark_time, self._mark_spent = now, shallow
        room = (1 - _DEEP_LEAST) * self.share
        place = _STRIDES.index(self.stride)
        if load > room and place + 1 < len(_STRIDES):
            self.stride = _STRIDES[place + 1]
        elif place and load < room / 4:
            self.stride = _STRIDES[place - 1]
        else:
            return False
        return True
