"""The governor: keeps the watch's own time within a share of the script's time.

Two knobs. *Deep samples* (norms, anatomy, statistics) are bought from an account that fills with
``share × elapsed`` seconds and is charged with every second the watch spends, so their number follows
from what they cost. If even the per-step reading costs more than its share (steps of a few tens of
microseconds) the *stride* doubles: the loss is then read on every 2nd, 4th … update.
"""

from dataclasses import dataclass, field
from time import perf_counter

_CHECK_EVERY = 64  # updates between two looks at the stride
_DEEP_LEAST = 0.2  # of the budget is kept for deep samples, however much the per-step reading costs
_STRIDE_LIMIT = 1024
_WARM_UP = (
    0,
    1,
    2,
    3,
    5,
    8,
    13,
    21,
    34,
    55,
)  # early dynamics are worth more: sample them densely if affordable
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
    deep_cost: float = 0.0
    _last_deep: int = -(10**9)
    _deep_spent: float = 0.0
    _sampled: bool = False
    _first: float = 0.0
    _mark_time: float = field(default_factory=perf_counter)
    _mark_spent: float = 0.0
    _mark_step: int = 0

    @property
    def elapsed(self) -> float:
        return perf_counter() - self.began

    def overhead(self) -> float:
        """Own time ÷ the time the script would have taken without us."""
        own = max(self.elapsed - self.spent, 1e-9)
        return self.spent / own

    def wants_deep(self, step: int) -> bool:
        """Whether update ``step`` may be sampled deeply. The first always is: it reads the objective."""
        if not self._sampled:
            return True
        if step - self._last_deep < max(_LEAST_GAP, step // _SPREAD) and step not in _WARM_UP:
            return False
        allowance = self.share * (self.elapsed - self.spent)
        shallow = min(self.spent - self._deep_spent - self._first, (1 - _DEEP_LEAST) * allowance)
        return self._deep_spent + self.deep_cost < allowance - shallow

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

    def adapt(self, step: int) -> bool:
        """Every 64 updates: widen or narrow the stride. True when it changed."""
        if step - self._mark_step < _CHECK_EVERY * self.stride:
            return False
        now = perf_counter()
        elapsed = now - self._mark_time
        shallow = self.spent - self._deep_spent - self._first
        load = (shallow - self._mark_spent) / max(elapsed, 1e-9)
        self._mark_step, self._mark_time, self._mark_spent = step, now, shallow
        room = (1 - _DEEP_LEAST) * self.share
        if load > room and self.stride < _STRIDE_LIMIT:
            self.stride *= 2
            return True
        if load < room / 4 and self.stride > 1:
            self.stride //= 2
            return True
        return False
