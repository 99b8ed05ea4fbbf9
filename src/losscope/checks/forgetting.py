"""A loss that remembers its calls, made to start anew at each of them.

A running mean in the normaliser makes every second call give another value. That is one finding, of the checker of
determinism; the checkers that compare two calls would each report it again, as a fault of what they look at.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from losscope.checks.subject import Loss, NotALoss, Raised, Subject


def forgetting(subject: Subject) -> Subject:
    """The subject with a loss that starts anew at each call; the other is kept as ``remembering``."""
    fresh, rebuild = _fresh(subject.call), subject.rebuild
    if fresh is None:
        return subject

    def rebuilt(options: Any) -> Loss:
        assert rebuild is not None
        call = rebuild(options)
        return _fresh(call) or call

    return replace(
        subject, call=fresh, remembering=subject.call, rebuild=None if rebuild is None else rebuilt
    )


def _fresh(call: Callable[..., Any]) -> Loss | None:
    """A copy of an instance for every call; ``None`` for what cannot be copied. Functions are their own copies."""
    try:
        untouched = copy.deepcopy(call)
    except Exception:  # noqa: BLE001  whatever a copy of somebody's object may raise
        return None
    if untouched is call:
        return None

    def fresh(*arguments: Any) -> Any:
        return copy.deepcopy(untouched)(*arguments)

    return fresh


def remembers(subject: Subject) -> bool:
    """Whether the value of a case changes when others were looked at in between, with the same dice, and whether that
    can be helped."""
    if _fresh(subject.call) is None:
        return False
    subject = replace(subject, call=copy.deepcopy(subject.call))
    state = torch.get_rng_state()
    try:
        case = subject.case(0)
        values = []
        for looked_at in (case, *subject.cases(2, (2.0,)), case):
            torch.manual_seed(0)
            with torch.no_grad():
                values.append(float(subject.value(looked_at)))
        return values[0] != values[-1] and not math.isnan(values[-1])
    except (Raised, NotALoss):
        return False
    finally:
        torch.set_rng_state(state)
