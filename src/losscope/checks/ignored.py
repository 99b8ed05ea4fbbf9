"""What is ignored does not count: neither in the value, nor in the gradient, whatever it holds.

For a loss with ``ignore_index``, for one that ignores a label that is no class without saying so, and for masks: the
prediction of an ignored sample is changed, then filled with NaN. The value and the gradients of the other samples must
not move, the ignored sample's own gradient must be 0, and the mean must be that of the rest: padding in the denominator
makes the loss depend on how long the longest sequence of a batch is. A mask is tried with a whole sample taken out and
with masked places appended to every sample; where there is one, it says what counts, and labels that are no class stand
behind it. An ignored label that the loss cannot digest
(one-hot of -100) is a bug, unless ``ignore_index`` is ``None`` by default and may then be meant to be a class (padding
in fairseq). Where labels are ignored without an option, a mean over all of them is a convention. NaN in an ignored
place that reaches only its own gradient, NaN times a mask of 0 beside labels of classes, and NaN for a batch in which
everything is ignored, are conventions (torch does the first and the last).
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.ignoring import CLOSE, Ignoring
from losscope.checks.subject import Case, NotALoss, Raised, Subject, gradients, planted, replaced
from losscope.core.claims import Severity
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_LABELS = (-100, 255, 0)
_INSIDE = (0, -100)
_OUTSIDE = (-100, 255, -1)

_BACKWARD = "x = {first}; loss({args_with_x}).sum().backward(); "
_GRADIENT_OF_FIRST = {"call": _BACKWARD + "print(x.grad[0].norm())", "requires_grad": True}
_GRADIENT_OF_OTHERS = {"call": _BACKWARD + "print(x.grad[1:].norm())", "requires_grad": True}

_NO_OPTION = Text(en="the loss has no option ignore_index", zh="该损失没有 ignore_index 选项")
_RAISES = Text(
    en="with ignore_index={label} a target of {label} raises {error}",
    zh="设置 ignore_index={label} 后，目标 {label} 引发 {error}",
)
_VALUE = Text(
    en="changing the prediction of an ignored sample changes the value from {first:.6g} to {seen:.6g}",
    zh="改变被忽略样本的预测使损失值从 {first:.6g} 变为 {seen:.6g}",
)
_OWN_GRADIENT = Text(
    en="an ignored sample has a gradient of its own (norm {seen:.4g})",
    zh="被忽略的样本有自己的梯度（范数 {seen:.4g}）",
)
_NAN_VALUE = Text(en="NaN in an ignored sample makes the value NaN", zh="被忽略样本中的 NaN 使损失值变为 NaN")
_NAN_OTHERS = Text(
    en="NaN in an ignored sample reaches the gradients of others",
    zh="被忽略样本中的 NaN 传到了其他样本的梯度",
)
_NAN_OWN = Text(
    en="NaN in an ignored sample stays in its own gradient (and reaches the weights by it)",
    zh="被忽略样本中的 NaN 留在其自身梯度中（并由此传到权重）",
)
_MEAN = Text(
    en="the mean is {seen:.6g}, without the ignored sample {expected:.6g}: the denominator counts what is ignored",
    zh="均值为 {seen:.6g}，去掉被忽略样本后为 {expected:.6g}：分母计入了被忽略的样本",
)
_PADDED = Text(
    en="masked places appended to every sample change the value from {expected:.6g} to {seen:.6g}: the denominator "
    "counts what is masked",
    zh="在每个样本后追加被屏蔽的位置使损失值从 {expected:.6g} 变为 {seen:.6g}：分母计入了被屏蔽的位置",
)
_ALL = Text(en="a batch in which everything is ignored gives {seen}", zh="全部被忽略的批次得到 {seen}")
_PASS = Text(
    en="ignored samples count nowhere (tried: {labels})", zh="被忽略的样本完全不计入（已测试：{labels}）"
)


def _run(subject: Subject) -> Iterator[Result]:
    target = next((i for i in subject.targets if subject.kind(i).startswith("class-index")), None)
    mask = _mask(subject)
    if mask is not None and subject.axis(mask) == 0:
        yield from _masked(subject, mask)
        if target is None or "ignore_index" not in subject.accepts:
            return
    elif target is None:
        yield skipped(_NO_OPTION)
        return
    elif "ignore_index" not in subject.accepts:
        yield from _without_option(subject, target)
        return
    clean = []
    own = subject.option("ignore_index")
    labels = _INSIDE if _off(subject) else _labels(own)
    for label in labels:
        ignoring = subject.with_options(ignore_index=label)
        if ignoring is None:
            continue
        found = list(_one(ignoring, target, label, with_nan=label == labels[0], refused=_refused(subject)))
        yield from found
        if any(r.severity == "bug" for r in found):
            return
        clean.append(str(label))
    if clean:
        yield passed(_PASS, labels=", ".join(clean))
    ignoring = subject.with_options(ignore_index=labels[0])
    if ignoring is not None:
        yield from _everything(ignoring, target, labels[0])


def _short(subject: Subject, samples: int) -> Case:
    """An ordinary case with short sequences, if the loss takes them."""
    if not any(subject.axis(i, "T") is not None for i in subject.predictions):
        return subject.case(0, N=samples)
    case = subject.case(0, N=samples, T=2)
    try:
        subject.value(case)
    except (Raised, NotALoss):
        return subject.case(0, N=samples)
    return case


def _mask(subject: Subject) -> int | None:
    """The argument that says what counts."""
    fixed = (i for i, a in enumerate(subject.arguments) if "mask" in a.name and a.role == "fixed")
    beside = (i for i in subject.targets[1:] if subject.arguments[i].name == "mask")
    return next(fixed, next(beside, None))


def _off(subject: Subject) -> bool:
    """Whether nothing is ignored by default: ``ignore_index=None``."""
    known = {**subject.defaults, **subject.options}
    return "ignore_index" in known and known["ignore_index"] is None


def _refused(subject: Subject) -> Severity:
    """What it means that an ignored label raises."""
    return "convention" if _off(subject) else "bug"


def _without_option(subject: Subject, target: int) -> Iterator[Result]:
    """Labels that are no class and that the loss ignores all the same: their samples have no gradient."""
    found = []
    for label in _OUTSIDE:
        case = _with_ignored(subject, target, label)
        try:
            value, _, slopes = gradients(subject, case)
        except (Raised, NotALoss):
            continue
        own = slopes[0]
        if own is None or not math.isfinite(float(value.detach())) or float(own[0].norm()) > 0:
            continue
        if float(own[1:].norm()) > 0:
            found.append(str(label))
            yield from _one(subject, target, label, with_nan=True, counted="convention")
    yield passed(_PASS, labels=", ".join(found)) if found else skipped(_NO_OPTION)


def _labels(own: object) -> tuple[int, ...]:
    """The loss's own label first. One that is a class, as of padding, need not be able to be anything else."""
    if not isinstance(own, int):
        return _LABELS
    return (own, *(label for label in _LABELS if label != own and (own < 0 or label == 0)))


def _one(
    subject: Subject,
    target: int,
    label: int,
    *,
    with_nan: bool,
    refused: Severity = "bug",
    counted: Severity = "bug",
) -> Iterator[Result]:
    case = _with_ignored(subject, target, label)
    try:
        gradients(subject, case)
    except (Raised, NotALoss) as error:
        told = {"case": case, "seen": str(error), "expected": "a number", "subject": subject}
        yield failed(refused, _RAISES(label=label, error=str(error)), **told)
        return
    mask = _mask(subject)
    marks = (target,) if mask is None or subject.axis(mask) != 0 else (target, mask)
    yield from _first_ignored(subject, case, marks, with_nan=with_nan, counted=counted)


def _masked(subject: Subject, mask: int) -> Iterator[Result]:
    """A mask that is 0 for the first sample and 1 for the others; then one that is 0 in places of every sample."""
    case = _short(subject, 3)
    values = torch.ones_like(case[mask])
    values[0] = 0
    classes = any(subject.kind(i).startswith("class-index") for i in subject.targets)
    nan: Severity = "convention" if classes else "bug"
    padded = _padded(subject, mask)
    counted: Severity = "convention" if padded == [] else "bug"  # a mean of means counts an empty sample
    whole = replaced(case, {mask: values})
    found = list(_first_ignored(subject, whole, (mask,), with_nan=True, counted=counted, nan=nan))
    found += [] if any(r.severity == "bug" for r in found) else padded or []
    yield from found
    if not any(r.severity == "bug" for r in found):
        yield passed(_PASS, labels=subject.arguments[mask].name)


def _padded(subject: Subject, mask: int) -> list[Result] | None:
    """What masked places do that are appended along the other axes of the mask; ``None`` where none can be."""
    case = _short(subject, 1)
    case = replaced(case, {mask: torch.ones_like(case[mask])})
    tried = False
    for axis in range(1, case[mask].dim()):
        name = (subject.arguments[mask].axes or subject.arguments[mask].of.axes).split()[axis]
        longer = [
            value if (at := subject.axis(i, name)) is None else torch.cat([value, value], at)
            for i, value in enumerate(case)
        ]
        longer[mask] = torch.cat([case[mask], torch.zeros_like(case[mask])], axis)
        try:
            expected, seen = float(subject.value(case)), float(subject.value(longer))
        except (Raised, NotALoss):
            continue  # it takes so many and no more
        tried = True
        if abs(seen - expected) > CLOSE * (1 + abs(expected)):
            figures = {"seen": f"{seen:.6g}", "expected": f"{expected:.6g}"}
            told = _halved(subject, mask, name)
            return [failed("bug", _PADDED(seen=seen, expected=expected), case=longer, **figures, **told)]
    return [] if tried else None


def _halved(subject: Subject, mask: int, name: str) -> dict[str, Any]:
    """How a padded case shrinks: against the first half of it along the axis ``name``, which alone counts."""

    def half(case: Sequence[Tensor]) -> float:
        at = [subject.axis(i, name) for i in range(len(case))]
        first = (v if a is None else v.narrow(a, 0, v.shape[a] // 2) for v, a in zip(case, at, strict=True))
        return float(subject.value(tuple(first)))

    def padded(case: Sequence[Tensor]) -> bool:
        counted, left = case[mask].chunk(2, subject.axis(mask, name) or 0)
        return bool((counted == 1).all()) and bool((left == 0).all())

    def apart(case: Sequence[Tensor]) -> bool:
        return padded(case) and abs(float(subject.value(case)) - half(case)) > CLOSE * (1 + abs(half(case)))

    def again(case: Sequence[Tensor]) -> dict[str, float]:
        return {"seen": float(subject.value(case)), "expected": half(case)}

    return {"fails": apart, "again": again}


def _first_ignored(
    subject: Subject,
    case: Sequence[Tensor],
    marks: tuple[int, ...],
    *,
    with_nan: bool,
    counted: Severity = "bug",
    nan: Severity = "bug",
) -> Iterator[Result]:
    """The first sample of the case is to be ignored, as the arguments ``marks`` say, and no other."""
    look = Ignoring(subject, tuple(case), marks)
    own, first = look.own(case), look.value(case)
    if own > 1e-12:
        told = look.when(lambda c: look.own(c) > 1e-3 * own, seen=look.own)
        figures = {"seen": f"{own:.4g}", "expected": "0", **_GRADIENT_OF_FIRST}
        yield failed("bug", _OWN_GRADIENT(seen=own), case=case, **figures, **told)
        return
    moved = look.moved(case)
    seen = look.value(moved)
    if abs(seen - first) > CLOSE * (1 + abs(seen)):
        told = look.unequal(look.value, lambda c: look.value(look.zeroed(c)), "first")
        figures = {"seen": f"{seen:.6g}", "expected": f"{first:.6g}"}
        yield failed("bug", _VALUE(first=first, seen=seen), case=moved, **figures, **told)
        return
    expected = look.rest(case)
    if abs(expected - first) > CLOSE * (1 + abs(expected)) and not _is_sum(subject):
        told = look.unequal(look.value, look.rest, "expected")
        figures = {"seen": f"{first:.6g}", "expected": f"{expected:.6g}"}
        yield failed(counted, _MEAN(seen=first, expected=expected), case=case, **figures, **told)
    if with_nan:
        yield from _nan(look, first, nan)


def _is_sum(subject: Subject) -> bool:
    return subject.options.get("reduction") == "sum"


def _with_ignored(subject: Subject, target: int, label: int) -> Sequence[Tensor]:
    """The first sample is ignored, and no other."""
    case = _short(subject, 3)
    labels = case[target].clone()
    if label >= 0:
        labels = torch.where(labels == label, (label + 1) % subject.sizes.get("C", 5), labels)
    labels[0] = label
    changes = {target: labels}
    mask = _mask(subject)
    if mask is not None and subject.axis(mask) == 0:
        changes[mask] = torch.ones_like(case[mask])
        changes[mask][0] = 0
    return replaced(case, changes)


def _nan(look: Ignoring, first: float, severity: Severity) -> Iterator[Result]:
    """NaN in the ignored sample: does it reach the value, the gradients of others, or its own?"""
    case = look.poisoned(look.case)
    try:
        found = _reached(look, case)
    except Raised:
        return
    told = look.when(lambda c: _reached(look, c) == found)
    if found == "value":
        told["again"] = lambda c: {"expected": look.value(look.zeroed(c))}
        yield failed(severity, _NAN_VALUE(), case=case, seen="nan", expected=f"{first:.6g}", **told)
    elif found == "others":
        yield failed(
            "bug", _NAN_OTHERS(), case=case, seen="nan", expected="a number", **told, **_GRADIENT_OF_OTHERS
        )
    elif found == "own":
        yield failed(
            "convention", _NAN_OWN(), case=case, seen="nan", expected="0", **told, **_GRADIENT_OF_FIRST
        )


def _reached(look: Ignoring, case: Sequence[Tensor]) -> str:
    """How far NaN gets: "value", "others", "own" or nowhere."""
    value, _, found = gradients(look.subject, case)
    slope = found[0]
    if math.isnan(float(value.detach())):
        return "value"
    if slope is None:
        return ""
    return "others" if bool(slope[1:].isnan().any()) else "own" if bool(slope[0].isnan().any()) else ""


def _everything(subject: Subject, target: int, label: int) -> Iterator[Result]:
    case = subject.case(0, N=2)
    case = replaced(case, {target: torch.full_like(case[target], label)})
    told = {"expected": "0 or an error", "subject": subject}
    try:
        value = float(subject.value(case))
    except Raised as error:
        yield failed("convention", _ALL(seen=str(error)), case=case, seen=str(error), **told)
        return
    if not math.isfinite(value):
        yield failed("convention", _ALL(seen=value), case=case, seen=str(value), **told)


CHECK = Check(
    name="ignored",
    title=Text(en="ignored samples do not count", zh="被忽略的样本不计入"),
    run=_run,
)

_PAIR = (Argument("input", "logits"), Argument("target", "class-index"))


def broken() -> Subject:
    """Masks after smoothing: the uniform part of an ignored sample still counts."""

    def smoothed(z: Tensor, y: Tensor, ignore_index: int = -100) -> Tensor:
        kept = y != ignore_index
        lp = z.log_softmax(1)
        picked = lp.gather(1, y.clamp(0, z.shape[1] - 1)[:, None])[:, 0]
        return -(0.9 * picked * kept).sum() / kept.sum() - 0.1 * lp.mean()

    return planted("smoothing counts the ignored", smoothed, _PAIR, "ignore_index")


def sound() -> Subject:
    return planted("cross-entropy", F.cross_entropy, _PAIR, "ignore_index")
