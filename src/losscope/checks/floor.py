"""The floor of the contract is the smallest mean loss that the options allow.

``floor`` of the contract against the loss that a numeric minimisation over all predictions reaches for drawn targets:
0 for hard labels, the entropy of the smoothed labels with label smoothing, the mean entropy of soft targets. A loss
below the floor proves the contract wrong; a floor that no search comes near is too low.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.constants import NO_MEAN, UNPROVEN, averaged, best, options_of, stats_of
from losscope.checks.subject import Case, Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

_SECONDS = 1.0
_BELOW, _ABOVE = 1e-7, 2e-3

_TOO_HIGH = Text(
    en="the contract's floor is {claimed:.6g}, but predictions with the loss {found:.6g} exist",
    zh="契约的下限为 {claimed:.6g}，但存在损失为 {found:.6g} 的预测",
)
_TOO_LOW = Text(
    en="the contract's floor is {claimed:.6g}, but the smallest loss that a search reaches is {found:.6g}",
    zh="契约的下限为 {claimed:.6g}，但搜索达到的最小损失为 {found:.6g}",
)
_PASS = Text(
    en="the smallest loss reached is {found:.6g}, the contract's floor {claimed:.6g}",
    zh="达到的最小损失为 {found:.6g}，契约的下限为 {claimed:.6g}",
)
_NONE = Text(en="the contract gives no floor for such targets", zh="契约没有给出此类目标的下限")
_UNFIT = Text(en="no floor can be compared: {why}", zh="无法比较下限：{why}")


def _run(subject: Subject) -> Iterator[Result]:
    spec, mean = subject.spec, averaged(subject)
    if spec is None or spec.floor is None:
        yield skipped(_NONE)
        return
    if mean is None or not mean.predictions:
        yield skipped(_UNFIT, why=NO_MEAN if mean is None else "it takes no prediction")
        return
    # What is given and not predicted (a reference, thresholds) may keep a batch above the floor of all batches.
    free = all(a.role != "fixed" for a in mean.arguments)
    worst = (-math.inf, 0.0, 0.0)
    for seed in (0, 1):
        compared = [_compare(mean, mean.case(seed, **sizes)) for sizes in _sizes(mean)[:1]]
        for sizes in _sizes(mean)[1:]:
            if compared[-1] is not None and not _near(compared[-1].found, compared[-1].floor):
                compared.append(_compare(mean, mean.case(seed, **sizes)))
        known = [comparison for comparison in compared if comparison is not None]
        if not known:
            yield skipped(_NONE)
            return
        found, floor, done = min(known, key=lambda comparison: abs(comparison.found - comparison.floor))
        figures = {"floor": floor, "smallest loss": found}
        below = found < floor - _BELOW * (1 + abs(floor))
        if free and not below and not _near(found, floor) and (not done or subject.by_value):
            yield skipped(UNPROVEN, found=found, claimed=floor)
            return
        if below or (free and not _near(found, floor)):
            text = _TOO_HIGH if found < floor else _TOO_LOW
            seen = f"{floor:.6g}"
            yield failed(
                "bug", text(claimed=floor, found=found), seen=seen, expected=f"{found:.6g}", figures=figures
            )
            return
        worst = max(worst, (abs(found - floor), found, floor))
    _, found, floor = worst
    yield passed(_PASS, {"floor": floor, "smallest loss": found}, found=found, claimed=floor)


class _Comparison(NamedTuple):
    found: float
    floor: float
    done: bool


def _compare(subject: Subject, case: Case) -> _Comparison | None:
    """The smallest loss found for a case, and the floor; ``None`` where the contract gives none."""
    options = options_of(subject, case)
    assert subject.spec is not None and subject.spec.floor is not None
    floor = subject.spec.floor(options, stats_of(subject, case, options))
    if floor is None or not math.isfinite(floor):
        return None
    goal = floor + _ABOVE / 2 * (1 + abs(floor))
    found, done = best(subject, case, frozenset(), seconds=_SECONDS, goal=goal)
    return _Comparison(found, floor, done)


def _near(found: float, floor: float) -> bool:
    return found <= floor + _ABOVE * (1 + abs(floor))


def _sizes(subject: Subject) -> list[dict[str, int]]:
    """Few samples. Where they are coupled: the usual sizes, then columns enough for all embeddings to point apart."""
    assert subject.spec is not None
    if not subject.spec.batch_coupled:
        return [{"N": 3}]
    embedded = any(subject.kind(i) == "embeddings" for i in subject.predictions)
    apart = [{"D": subject.sizes["N"] + 2}] if embedded and "D" not in subject.spec.sizes else []
    return [{}, *apart]


CHECK = Check(
    name="floor",
    title=Text(en="floor: the smallest loss that the options allow", zh="下限：选项所允许的最小损失"),
    run=_run,
    needs_contract=True,
)


def _entropy(parts: list[float]) -> float:
    return -sum(p * math.log(p) for p in parts)


def planted(factor: float) -> Subject:
    """Cross-entropy with label smoothing 0.1 over five classes, whose floor is off by a factor."""
    arguments = (Argument("input", "logits"), Argument("target", "class-index"))
    floor = factor * _entropy([0.92, 0.02, 0.02, 0.02, 0.02])

    def smoothed(input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(input, target, label_smoothing=0.1)

    def constant(options: Options, stats: TargetStats | None) -> float:
        del options, stats
        return floor

    spec = LossSpec(
        name="planted",
        family="classification",
        task="multi-class",
        formula="",
        input_space="logits",
        range=(0.0, math.inf),
        function=smoothed,
        arguments=arguments,
        floor=constant,
    )
    return Subject(name="planted", call=smoothed, arguments=arguments, spec=spec)


def broken() -> Subject:
    """Half the entropy of the smoothed labels."""
    return planted(0.5)


def sound() -> Subject:
    return planted(1.0)
