"""Following the gradient leads to the target.

Plain gradient descent on the predictions themselves, for fixed targets: the loss must fall, and afterwards the
prediction must agree with the target better than before (in the sense of the task: class, side of the threshold,
distance, overlap). A loss with the wrong sign, a similarity that is minimised, swapped arguments or an inverted
label fail here.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.shrink import sources
from losscope.checks.subject import Raised, Subject, pack, packed_gradient, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_STEPS = 60

_AWAY = Text(
    en="descending the loss from {first:.4g} to {last:.4g} moves predictions away from their targets: {what} goes "
    "from {before:.3g} to {after:.3g}",
    zh="损失从 {first:.4g} 下降到 {last:.4g} 时，预测反而远离目标：{what} 从 {before:.3g} 变为 {after:.3g}",
)
_PASS = Text(
    en="descending the loss improves {what} from {before:.3g} to {after:.3g}",
    zh="沿梯度下降使 {what} 从 {before:.3g} 变为 {after:.3g}",
)
_UNKNOWN = Text(
    en="what a good prediction is, is not known for these arguments", zh="对于这些参数，何为好的预测未知"
)
_FLAT = Text(en="gradient descent changes nothing", zh="梯度下降没有带来变化")

Agreement = Callable[[Tensor, Tensor], float]


def _accuracy(z: Tensor, y: Tensor) -> float:
    """Margin of the right class, which tells more than whether it comes first."""
    p = z.softmax(1)
    return float(p.gather(1, y[:, None]).mean())


def _class_map_accuracy(z: Tensor, y: Tensor) -> float:
    return float(z.softmax(1).gather(1, y[:, None]).mean())


def _side(z: Tensor, t: Tensor) -> float:
    return float((z * (2 * t - 1)).tanh().mean())


def _sign(z: Tensor, t: Tensor) -> float:
    return float((z * t).tanh().mean())


def _closeness(x: Tensor, t: Tensor) -> float:
    return -float((x - t).abs().mean())


def _correlation(p: Tensor, t: Tensor) -> float:
    return float(((2 * p - 1) * (2 * t - 1)).mean())


def _agreement(first: str, second: str) -> tuple[str, Agreement] | None:
    """How well a kind of prediction fits a kind of target."""
    table: dict[tuple[str, str], tuple[str, Agreement]] = {
        ("logits", "class-index"): ("probability of the class", _accuracy),
        ("class-mask-logits", "class-index-map"): ("probability of the class", _class_map_accuracy),
        ("binary-logits", "binary"): ("agreement of signs", _side),
        ("mask-logits", "mask"): ("agreement of signs", _side),
        ("values", "sign"): ("agreement of signs", _sign),
        ("binary-logits", "sign"): ("agreement of signs", _sign),
        ("probabilities", "binary"): ("agreement", _correlation),
        ("mask-probabilities", "mask"): ("agreement", _correlation),
        ("values", "real"): ("negative distance", _closeness),
        ("positive-values", "positive"): ("negative distance", _closeness),
        ("boxes", "target-boxes"): ("negative distance", _closeness),
    }
    return table.get((first, second))


def _run(subject: Subject) -> Iterator[Result]:
    pair = [i for i in subject.predictions[:1]] + [i for i in subject.targets[:1]]
    known = _agreement(subject.kind(pair[0]), subject.kind(pair[1])) if len(pair) == 2 else None
    case = subject.case(0, N=12)
    if known is None or len(subject.predictions) != 1 or not _fit(subject, case, pair):
        yield skipped(_UNKNOWN)
        return
    what, agree = known
    found = _descend(subject, case)
    if found is None:
        yield skipped(_FLAT)
        return
    after_case, first, last = found
    position, target = pair
    before, after = agree(case[position], case[target]), agree(after_case[position], case[target])
    values = {"before": before, "after": after}
    if last < first - 1e-9 and after < before - 1e-3:
        after_case = replaced(case, {position: _short(subject, case, after_case, position)})
        last = float(subject.value(after_case))
        begun, ended = (f"loss({', '.join(sources(c))})" for c in (case, after_case))
        yield failed(
            "bug",
            _AWAY(first=first, last=last, what=what, **values),
            case=case,
            seen=f"{first:.6g} {last:.6g}",
            expected=f"no fall: {what} goes from {before:.3g} to {after:.3g}",
            figures=values,
            call=f"print({begun}, {ended})",
        )
    else:
        yield passed(_PASS, values, what=what, **values)


def _short(subject: Subject, case: Sequence[Tensor], after: Sequence[Tensor], position: int) -> Tensor:
    """The predictions at the end with few decimals, if the loss has fallen there as well."""
    rounded = after[position].round(decimals=3)
    try:
        fallen = float(subject.value(replaced(case, {position: rounded}))) < float(subject.value(case)) - 1e-9
    except Raised:
        fallen = False
    return rounded if fallen else after[position].detach()


def _fit(subject: Subject, case: Sequence[Tensor], pair: list[int]) -> bool:
    """Whether prediction and target can be compared element by element, or class by class."""
    first, second = case[pair[0]], case[pair[1]]
    by_class = subject.arguments[pair[1]].of.integer and subject.axis(pair[0], "C") == 1
    return first.shape == second.shape or by_class


def _descend(subject: Subject, case: Sequence[Tensor]) -> tuple[Sequence[Tensor], float, float] | None:
    """Descent with a backtracking step: every step lowers the loss. Predictions stay in their domain."""
    kind = subject.arguments[subject.predictions[0]].of
    x, unpack = pack(subject, case)
    first = current = float(subject.value(case))
    rate = 1.0
    for _ in range(_STEPS):
        gradient = packed_gradient(subject, unpack(x))
        if gradient is None or float(gradient.norm()) < 1e-10 or not bool(torch.isfinite(gradient).all()):
            break
        step = gradient / gradient.norm()
        moved = (x - rate * step).clamp(max(kind.low, -1e3) + 1e-6, min(kind.high, 1e3) - 1e-6)
        try:
            value = float(subject.value(unpack(moved)))
        except Raised:
            break
        if value < current:
            x, current, rate = moved, value, rate * 1.3
        else:
            rate /= 2
            if rate < 1e-7:
                break
    return None if current >= first - 1e-12 else (unpack(x), first, current)


CHECK = Check(
    name="descent",
    title=Text(en="following the gradient leads to the target", zh="沿梯度下降会接近目标"),
    run=_run,
)

_PAIR = (Argument("input", "logits"), Argument("target", "class-index"))


def broken() -> Subject:
    """The likelihood instead of its negative."""
    return Subject(
        name="wrong sign", call=lambda z, y: z.log_softmax(1).gather(1, y[:, None]).mean(), arguments=_PAIR
    )


def sound() -> Subject:
    return Subject(name="cross-entropy", call=F.cross_entropy, arguments=_PAIR)
