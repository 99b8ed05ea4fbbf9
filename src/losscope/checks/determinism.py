"""The same input gives the same value: no hidden state, no hidden dice.

Two calls with the same random state must agree to the bit; a call with another random state shows whether dice are
thrown; a call after calls with other inputs shows whether something is remembered. Remembering and dice are
conventions where they are meant (a queue of negatives, dropout in the loss); a value that changes with the same random
state and history is a bug.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed
from losscope.checks.subject import Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_STATE = Text(
    en="the same input gives {first:.8g} at first and {later:.8g} after other calls: the loss remembers",
    zh="相同输入先得到 {first:.8g}，在其他调用之后得到 {later:.8g}：该损失带有记忆",
)
_RANDOM = Text(
    en="the value depends on the random state: {first:.8g} and {later:.8g} with two seeds",
    zh="损失值依赖随机状态：两个种子分别得到 {first:.8g} 和 {later:.8g}",
)
_PASS = Text(
    en="same value whatever was called before, whatever the seed", zh="无论此前的调用或种子，值都相同"
)


def _run(subject: Subject) -> Iterator[Result]:
    if subject.remembering is not None:  # the other checkers look at one that starts anew at each call
        subject = replace(subject, call=subject.remembering)
    case = subject.case(0)
    state = torch.get_rng_state()
    try:
        first, again, reseeded = (
            _seeded(subject, case, 0),
            _seeded(subject, case, 0),
            _seeded(subject, case, 1),
        )
        if first != again:
            yield _remembers(subject, case, first, again)
            return
        if first != reseeded:
            yield failed(
                "convention",
                _RANDOM(first=first, later=reseeded),
                case=case,
                seen=f"{reseeded:.8g}",
                expected=f"{first:.8g}, as with the seed 0",
                call="torch.manual_seed(1); print(loss({args}))",
            )
            return
        for other in subject.cases(3, (2.0,)):
            _seeded(subject, other, 0)
        later = _seeded(subject, case, 0)
        if first != later:
            between = "[loss({args}) for _ in range(4)]"
            yield replace(
                _remembers(subject, case, first, later),
                seen="another value after other inputs",
                call=f"print({between})",
            )
            return
        yield passed(_PASS)
    finally:
        torch.set_rng_state(state)


def _seeded(subject: Subject, case: Sequence[Tensor], seed: int) -> float:
    torch.manual_seed(seed)
    with torch.no_grad():
        return float(subject.value(case))


def _remembers(subject: Subject, case: Sequence[Tensor], first: float, later: float) -> Result:
    declared = subject.spec is not None and subject.spec.stateful
    return failed(
        "by-design" if declared else "convention",
        _STATE(first=first, later=later),
        case=case,
        seen=f"{first:.8g} {later:.8g}",
        expected="twice the same",
        call="print(loss({args}), loss({args}))",
    )


CHECK = Check(
    name="deterministic",
    title=Text(en="the same input gives the same value", zh="相同输入得到相同的值"),
    run=_run,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    """A running mean in the normaliser."""
    seen = [1.0]

    def running(x: Tensor, t: Tensor) -> Tensor:
        value = F.mse_loss(x, t)
        seen[0] = 0.9 * seen[0] + 0.1 * float(value)
        return value / seen[0]

    return Subject(name="running normaliser", call=running, arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="mse", call=F.mse_loss, arguments=_PAIR)
