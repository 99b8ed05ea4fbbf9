"""Which argument of a task each parameter of a loss is, told by its name: ``(mean, variance, target)`` is no survival.

A task lists its arguments in one order, a loss may take them in another: ``(y_true, y_pred)``, ``(mean, logvar,
target)``. Where the names contradict the order of the task and agree with exactly one assignment, the loss is called
in its own order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

from losscope.checks.naming import meant, words
from losscope.checks.target import Target
from losscope.losses.arguments import Argument

Order = tuple[int, ...]
"""For every argument of the task the position of its parameter in the call."""

_MOST = 5
_TARGETS = "tgt target targets label labels truth gt true groundtruth"
_PREDICTIONS = (
    "pred preds prediction predictions output outputs mean mu loc input inputs logit logits student risk"
)
_ROLES: Mapping[str, str] = {
    **dict.fromkeys(_TARGETS.split(), "target"),
    **dict.fromkeys(_PREDICTIONS.split(), "prediction"),
}
_SPREADS = frozenset({"variance", "given-variance", "log-scale"})
_KINDS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        ("old", "ref", "reference"), frozenset({"reference-log-likelihoods", "reference-samples"})
    ),
    **dict.fromkeys(("length", "lengths"), frozenset({"frame-lengths", "label-lengths"})),
    **dict.fromkeys(("risk", "hazard", "hazards"), frozenset({"risk"})),
}
_NO_ROLE = frozenset(
    {
        *("length", "lengths", "weight", "weights", "variance", "var", "std", "sigma", "logvar"),
        *("teacher", "old", "ref", "reference"),
    }
)
"""What belongs to an argument and is not this argument: the lengths of inputs, the weights of targets."""


def order_of(names: Sequence[str], arguments: Sequence[Argument]) -> Order | None:
    """The order in which parameters of these names take the arguments of a task; ``None`` where it is the task's own.

    >>> task = [Argument("x", "values"), Argument("y", "real"), Argument("s", "log-scale")]
    >>> order_of(["mean", "logvar", "target"], task)
    (0, 2, 1)
    """
    if len(names) != len(arguments) or not 1 < len(names) <= _MOST:
        return None
    own = tuple(range(len(names)))
    if all(_agrees(name, argument) is not False for name, argument in zip(names, arguments, strict=True)):
        return None
    fits = [
        order
        for order in permutations(own)
        if all(_agrees(names[place], argument) for place, argument in zip(order, arguments, strict=True))
    ]
    # Parameters that may exchange their places must be of one kind; they keep the order in which they stand.
    taken = {tuple(arguments[order.index(place)].kind for place in own) for order in fits}
    return fits[0] if len(taken) == 1 else None


def _agrees(name: str, argument: Argument) -> bool | None:
    """Whether a name says that it is this argument; ``None`` where it says nothing."""
    found = words(name)
    kinds = [k for word in found if (k := _KINDS.get(word) or meant(word))]
    if any(argument.kind not in k for k in kinds):
        return False
    roles = set() if _NO_ROLE & set(found) else {_ROLES[word] for word in found if word in _ROLES}
    if not roles:
        return True if kinds else None
    if argument.kind in _SPREADS and not kinds:
        return False
    return roles == {argument.role}


def reordered(target: Target, order: Order | None, arguments: Sequence[Argument]) -> Target:
    """The loss with its arguments in the order of the task; a repro shows the wrapper."""
    if order is None:
        return target
    back = tuple(order.index(place) for place in range(len(order)))

    def make(more: Mapping[str, Any]) -> Callable[..., Any]:
        loss = target.make(more)
        return lambda *given, **options: loss(*(given[i] for i in back), **options)

    taken = [argument.name for argument in arguments]
    given = ", ".join(taken[i] for i in back)
    wrapper = f"given = loss; loss = lambda {', '.join(taken)}: given({given})"
    return replace(
        target,
        make=make,
        parameters=tuple(target.parameters[place] for place in order),
        source=lambda more: f"{target.source(more)}\n{wrapper}",
        as_tensors=None,
    )
