"""The chance level of the contract is the loss of the best constant prediction.

``chance`` of the contract, from the statistics of drawn targets alone, against the smallest loss that a numeric search
finds over one prediction for all samples. Targets are unbalanced, since for balanced ones ln C is right whatever the
formula says. The search can only end above the true minimum, so a chance level above it is wrong for certain. The
entropy of labels is corrected for their finite number (Miller and Madow), which allows (C - 1) / 2n. Two predictions of
the same kind may also be equal: one model that ignores what it is shown gives both the same score.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.constants import (
    NO_MEAN,
    UNPROVEN,
    averaged,
    best,
    has_twins,
    options_of,
    skewed,
    stats_of,
)
from losscope.checks.subject import Case, Subject
from losscope.core.estimate import Estimate
from losscope.core.text import Text
from losscope.losses.arguments import Argument
from losscope.losses.spec import LossSpec

_SAMPLES, _COUPLED = 1000, 60
_SECONDS = 2.0
_RELATIVE = 2e-4
_SHARED = frozenset({"N", "H", "W", "T", "U"})

_WRONG = Text(
    en="the contract's chance level is {claimed:.6g}, but the best constant prediction has the loss {found:.6g}",
    zh="契约的机会水平为 {claimed:.6g}，但最佳常数预测的损失为 {found:.6g}",
)
_PASS = Text(
    en="the best constant prediction has the loss {found:.6g}, the contract says {claimed:.6g}",
    zh="最佳常数预测的损失为 {found:.6g}，契约给出 {claimed:.6g}",
)
_NONE = Text(en="the contract gives no chance level for such targets", zh="契约没有给出此类目标的机会水平")
_UNFIT = Text(en="no constant prediction can be compared: {why}", zh="无法比较常数预测：{why}")


def _run(subject: Subject) -> Iterator[Result]:
    spec, mean = subject.spec, averaged(subject)
    if spec is None or spec.chance is None:
        yield skipped(_NONE)
        return
    why = NO_MEAN if mean is None else _why_not(subject)
    if mean is None or why:
        yield skipped(_UNFIT, why=why)
        return
    case = skewed(mean, mean.case(0, N=_COUPLED if spec.batch_coupled else _SAMPLES), 0)
    options = options_of(mean, case)
    chance = spec.chance(stats_of(mean, case, options), options)
    if chance is None:
        yield skipped(_NONE)
        return
    allowed = _RELATIVE * (1 + abs(chance.value)) + _correction(mean, case, options)
    goal = chance.value + allowed / 2
    found, done = best(mean, case, _SHARED, seconds=_SECONDS, goal=goal)
    if has_twins(mean) and abs(chance.value - found) > allowed:
        tied, ended = best(mean, case, _SHARED, seconds=_SECONDS, goal=goal, tied=True)
        found, done = min(found, tied, key=lambda value: abs(value - chance.value)), done and ended
    figures = {"chance": chance.value, "best constant": found}
    if found > chance.value + allowed and (not done or subject.by_value):
        yield skipped(UNPROVEN, found=found, claimed=chance.value)
        return
    if not math.isfinite(chance.value) or abs(chance.value - found) > allowed:
        yield failed(
            "bug",
            _WRONG(claimed=chance.value, found=found),
            seen=f"{chance.value:.6g}",
            expected=f"{found:.6g}",
            figures=figures,
        )
        return
    yield passed(_PASS, figures, found=found, claimed=chance.value)


def _correction(subject: Subject, case: Case, options: dict[str, Any]) -> float:
    """What the correction of an entropy of labels may come to."""
    if options.get("target") != "class":
        return 0.0
    target = case[subject.targets[0]]
    return float(target.max()) / (2 * target.numel())


def _why_not(subject: Subject) -> str:
    if len(subject.targets) > 1:
        return "it takes several targets"
    if any(a.role == "fixed" for a in subject.arguments):
        return "it takes fixed arguments"
    return "" if subject.predictions else "it takes no prediction"


CHECK = Check(
    name="chance",
    title=Text(en="chance level: the loss of the best constant", zh="机会水平：最佳常数预测的损失"),
    run=_run,
    needs_contract=True,
)


def planted(chance: float) -> Subject:
    """Cross-entropy over five classes whose contract claims this chance level, whatever the targets."""
    arguments = (Argument("input", "logits"), Argument("target", "class-index"))
    spec = LossSpec(
        name="planted",
        family="classification",
        task="multi-class",
        formula="",
        input_space="logits",
        range=(0.0, math.inf),
        function=F.cross_entropy,
        arguments=arguments,
        chance=lambda stats, options: Estimate(chance),
    )
    return Subject(name="planted", call=F.cross_entropy, arguments=arguments, spec=spec)


def broken() -> Subject:
    """ln C, though the labels are not balanced."""
    return planted(math.log(5))


def sound() -> Subject:
    """The entropy of these labels."""
    subject = planted(0.0)
    target = skewed(subject, subject.case(0, N=_SAMPLES), 0)[1]
    frequency = torch.bincount(target, minlength=5).double() / len(target)
    return planted(float(-(frequency * frequency.log()).sum()))
