"""Losses with planted contracts, and what a checker answers of them."""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from losscope.checks.check import Result, all_checks
from losscope.checks.subject import Subject
from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.reduction import reduce
from losscope.losses.spec import LossSpec

VALUES = (Argument("input", "values"), Argument("target", "real"))
LOGITS = (Argument("input", "logits"), Argument("target", "class-index"))
BINARY = (Argument("input", "binary-logits"), Argument("target", "binary"))
MASKS = (Argument("input", "mask-probabilities"), Argument("target", "mask"))


def planted(
    call: Callable[..., Tensor],
    arguments: tuple[Argument, ...],
    *claims: Claim,
    options: Mapping[str, Any] = {},
    **more: Any,
) -> Subject:
    """A subject with a contract that makes these claims."""
    known = inspect.signature(call).parameters
    contract = {"range": (0.0, math.inf), "input_space": "values", **more}
    spec = LossSpec(
        name="planted", family="regression", task="regression", formula="", function=call, arguments=arguments,
        claims=claims, **contract,
    )  # fmt: skip
    return Subject(
        name="planted",
        call=partial(call, **options),
        arguments=arguments,
        spec=spec,
        options=dict(options),
        accepts=frozenset({"reduction", *options} & set(known)),
        rebuild=lambda merged: partial(call, **merged),
    )


def elementwise(rho: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """A loss of the residual with torch's reductions."""

    def loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
        return reduce(rho(input - target), reduction)

    return loss


def answer(check: str, subject: Subject) -> Result:
    """The one answer of a checker."""
    results = list(all_checks()[check].run(subject))
    assert len(results) == 1, [str(r.text) for r in results]
    return results[0]


def severity(check: str, subject: Subject) -> str | None:
    found = answer(check, subject)
    assert not found.skipped, str(found.text)
    if found.case is not None and found.fails is not None:
        assert found.fails(found.case), f"{check}: the counterexample does not show the fault"
    return found.severity
