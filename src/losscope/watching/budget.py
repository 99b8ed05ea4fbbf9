"""The governor: keeps the watch's own time within a share of the script's time.

Two knobs. *Deep samples* (norms, anatomy, statistics) are bought from an account that fills with
``share × elapsed`` seconds and is charged with every second the watch spends, so their number follows
from what they cost. The *stride* says how much every update costs: 0, each is looked at in full; 1, of most the
loss alone is read, by the fast path; 3, 7 … (steps of a few tens of microseconds), of one in so many.
"""

from collections import deque
from dataclasses import dataclass, field
from time import perf_counter

_DEEP_LEAST = 0.2  # of the budget is kept for deep samples, however much the per-step reading costs
_FULL = 0.25  # of the budget may go into looking at each update in full; beyond, the fast path is taken
_STRIDES = (0, 1, 3, 7, 17, 37, 79, 163, 331, 661, 1321)  # odd, so that alternating streams take turns
# What the fast path costs of one update, as a share of the slow path's own time (benchmarks/overhead).
_FAST = 0.24
# Own time costs the script more than is measured from inside: it is cold, and so is what comes after it. The
# factors for the many short pieces and for the few long ones: benchmarks/overhead/bench_per_update.py.
_INDIRECT = 2.4
_INDIRECT_DEEP = 1.3
# Part of the budget that is planned with: the recorder's threads and idle hooks need the rest.
_AIM = 0.5
# Early dynamics are worth more: these updates are sampled where that is affordable.
_WARM_UP = frozenset((0, 1, 2, 3, 5, 8, 13, 21, 34, 55))
_WARM = max(_WARM_UP)
_LEAST_GAP = 7  # updates between two deep samples; odd, so that a GAN's two streams take turns
_SPREAD = 40  # the gap is at least a 40th of the run so far: samples reach to its end, evenly on a log scale
# Seconds of the script whose whole budget is lent for samples: short runs earn hardly any. What is lent and what is
# earned (_AIM of the budget) stay within the budget of a run of twice as long.
_CREDIT = 2.5
_SPREAD_ON_CREDIT = 6
# What is left of the credit is to last until the run is so many times as long as it is now.
_REACH, _WIDEST = 8.0, 3.0
_WINDOW = 0.2  # seconds over which the load is measured, at least
_FAR_BEYOND = 4.0  # times the budget of a whole window: not waited for its end
_FORGET = 0.3  # weight of the newest deep sample in the running cost
# A hook that takes so many times its usual time (tens of microseconds) was interrupted: another process had the
# processor for a slice, which is milliseconds. That is part of the overhead stated, and no reason to look less often.
_INTERRUPTED = 20.0


@dataclass(slots=True)
class Governor:
    """``spent`` is all of the watch's own time in seconds; callers add to it."""

    share: float
    began: float = field(default_factory=perf_counter)
    before: float = (
        0.0  # seconds of the script's own before it could be watched: imports; their budget is credit
    )
    spent: float = 0.0
    stride: int = 0
    look_at: int = 0
    deep_cost: float = 0.0
    _last_deep: int = -(10**9)
    _deep_spent: float = 0.0
    _sampled: bool = False
    _invited: bool = False
    first: float = 0.0  # seconds of the first deep sample
    _update_cost: float = 0.0
    # Seconds of each in this window, deep samples left out; bounded, since backwards without updates end no window.
    _hooks: deque[float] = field(default_factory=lambda: deque(maxlen=8192))
    _mark_time: float = field(default_factory=perf_counter)
    _mark_spent: float = 0.0
    _away: float = 0.0  # seconds in which nothing was watched
    _left: float = 0.0  # when the pause that lasts began; 0 outside of one

    @property
    def elapsed(self) -> float:
        """Seconds of watching so far."""
        return (self._left or perf_counter()) - self.began - self._away

    def pause(self) -> None:
        """Nothing is watched from now on: no budget is earned either."""
        self._left = self._left or perf_counter()

    def resume(self) -> None:
        """Watching goes on."""
        if self._left:
            gone = perf_counter() - self._left
            self._away += gone
            self._mark_time += gone
            self._left = 0.0

    @property
    def _shallow(self) -> float:
        return self.spent - self._deep_spent - self.first

    @property
    def cost(self) -> float:
        """Seconds that the script is later than without us: own time, and what it does to caches."""
        return self.first + _INDIRECT_DEEP * self._deep_spent + _INDIRECT * self._shallow

    def overhead(self) -> float:
        """That cost ÷ the time the script would have taken without us."""
        return self.cost / max(self.elapsed - self.cost, 1e-9)

    def invite(self) -> None:
        """Something new is trained: the next update is worth a sample, if it can be afforded."""
        self._invited, self.look_at = True, 0

    def wants_deep(self, update: int) -> bool:
        """Whether this update may be sampled deeply. The first always is: it reads the objective.

        ``look_at`` is set to the next update for which asking again makes sense.
        """
        if not self._sampled:
            return True
        gap = max(_LEAST_GAP, update // _SPREAD) | 1
        due = self._invited or update in _WARM_UP or update - self._last_deep >= gap
        allowance = _AIM * self.share * (self.elapsed - self.cost)
        earned = allowance - min(_INDIRECT * self._shallow, (1 - _DEEP_LEAST) * allowance)
        lacking = _INDIRECT_DEEP * (self._deep_spent + self.deep_cost) - earned
        # On credit, samples come evenly on a log scale: the last one is never far from the end of a short run.
        left = self.share * (_INDIRECT_DEEP * _CREDIT + _AIM * self.before) - lacking
        on_credit = left > 0
        rare = max(_LEAST_GAP, update // _SPREAD_ON_CREDIT, self._lasting(left)) | 1
        spread = self._invited or update - self._last_deep >= rare
        wanted = due and (lacking < 0 or (on_credit and spread))
        self._invited = False
        if wanted or update < _WARM:
            self.look_at = update + 1
        else:
            wait = min(lacking * update / earned, update) if earned > 0 else update
            self.look_at = max(self._last_deep + gap, update + max(int(wait), _LEAST_GAP))
            if on_credit:
                self.look_at = min(self.look_at, max(self._last_deep + rare, update + 1))
        return wanted

    def _lasting(self, left: float) -> int:
        """The gap at which samples, evenly on a log scale, can go on until the run is ``_REACH`` times as long."""
        if left <= 0 or self.deep_cost == 0:
            return 0
        samples = left / (_INDIRECT_DEEP * self.deep_cost)
        return int(self._last_deep * min(_REACH ** min(1 / samples, 1.0) - 1, _WIDEST))

    def charge_deep(self, step: int, seconds: float) -> None:
        """Book a deep sample: the account pays it, the running cost learns from it.

        The very first one also loads the catalogue and walks the whole graph; it is part of
        ``spent``, but says nothing about what the next one costs.
        """
        self._last_deep = step
        if not self._sampled:
            self._sampled = True
            self.first = seconds
            return
        self._deep_spent += seconds
        self.deep_cost = (1 - _FORGET) * self.deep_cost + _FORGET * seconds if self.deep_cost else seconds

    def charge(self, seconds: float, *, plain: bool) -> None:
        """Book the time of one hook; ``plain``: it took no part in a deep sample."""
        self.spent += seconds
        if plain:
            self._hooks.append(seconds)

    def charge_update(self, seconds: float, *, plain: bool) -> None:
        """Book the end of an update that was looked at in full."""
        self.charge(seconds, plain=plain)
        if plain:
            usual = self._update_cost
            seconds = min(seconds, _INTERRUPTED * usual) if usual else seconds
            self._update_cost += _FORGET * (seconds - usual) if usual else seconds

    def charge_fast(self, updates: int) -> None:
        """Book updates whose loss the fast path read; it takes no time itself."""
        self.spent += _FAST * self._update_cost * updates

    def charge_extra(self, seconds: float) -> None:
        """Book what a deep sample costs on the update after it."""
        self._deep_spent += seconds

    def adapt(self) -> bool:
        """Now and then: widen or narrow the stride. True when it changed.

        A window shorter than a fifth of a second says nothing yet (one file written weighs more there), unless
        several times what may be spent in all of it is gone by then.
        """
        now, shallow = perf_counter(), self._shallow
        window, cost = now - self._mark_time, _INDIRECT * (shallow - self._mark_spent - self._interruptions())
        before, room = self.stride, (1 - _DEEP_LEAST) * self.share
        if window < _WINDOW and cost < _FAR_BEYOND * room * _WINDOW:
            return False
        load = cost / max(window, 1e-9)
        self._mark_time, self._mark_spent = now, shallow
        self._hooks.clear()
        if before == 0:
            self.stride = 1 if load > _FULL * self.share else 0
        elif load > room:  # what is not read costs next to nothing: the load falls as the stride widens
            self.stride = next((s for s in _STRIDES if s * room >= load * before), _STRIDES[-1])
        elif before == 1:
            self.stride = 0 if load < _FULL * self.share / 4 else 1
        elif load < room / 4:
            self.stride = _STRIDES[_STRIDES.index(before) - 1]
        return self.stride != before

    def _interruptions(self) -> float:
        """Seconds of this window in which our hooks were under way and something else ran."""
        if not self._hooks:
            return 0.0
        usual = sorted(self._hooks)[len(self._hooks) // 2]
        return sum(h - usual for h in self._hooks if h > _INTERRUPTED * usual)
