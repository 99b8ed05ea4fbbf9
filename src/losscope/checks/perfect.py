"""A prediction that equals its target costs no more than one that has nothing to do with it.

For losses whose prediction is of the kind of its target: values, shares, masks, boxes; for triplets, where an
anchor at its positive must cost no more than one at its negative; for scores of classes, where a small lead of the
right one must cost no more than equal scores; and for pairs, groups, preferences, rankings, policies and risks,
where what is right is known (:mod:`losscope.checks.ideals`). Compared with the perfect prediction are: the mean
target for all, the targets of other samples, and the targets with height and width exchanged. Margins, smoothing
and penalties may put the minimum beside the target, but not there. A pairwise difference that is broadcast over the
batch, a mean over the wrong axis, exchanged axes and a wrong sign do, and shapes alone do not show them. Equal cost
for the targets of other samples means that the loss does not see which prediction belongs to which target. An
overlap that ends at 1 for a wrong mask ends at 0 for a right one, and no clip may hold a policy where it has gone
wrong (Schulman et al. 2017, equation 7).
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from losscope.checks import ideals
from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.extremes import SAME_AS_TARGET
from losscope.checks.subject import Case, NotALoss, Raised, Subject, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_CASES = 3
_ITSELF = {"values": ("real",)}  # the score of a positive target or a count may be its logarithm
_CLEARLY = 1e-3
_LEFT = 0.25
"""No smoothing of an overlap leaves so much of a perfect mask's price on masks of some pixels."""
_PRINTED = 400
"""More numbers are not printed in a repro."""

_WORSE = Text(
    en="a prediction that equals its target costs {seen:.6g}, {other} only {expected:.6g}",
    zh="与目标相同的预测损失为 {seen:.6g}，而{other}仅为 {expected:.6g}",
)
_REVERSED = Text(
    en="what is right costs {seen:.6g}, {other} only {expected:.6g}",
    zh="正确的情形损失为 {seen:.6g}，而{other}仅为 {expected:.6g}",
)
_UNPAIRED = Text(
    en="predictions that equal the targets of other samples cost as little as right ones: {seen:.6g}",
    zh="与其他样本目标相同的预测和正确预测的损失一样小：{seen:.6g}",
)
_ALIKE = Text(
    en="{other} costs as little as what is right: {seen:.6g}",
    zh="{other}与正确情形的损失一样小：{seen:.6g}",
)
_APART = Text(
    en="partners that have nothing in common cost {expected:.6g}, equal ones {seen:.6g}: what belongs together is "
    "{what}",
    zh="毫无共同之处的配对损失为 {expected:.6g}，相同的配对为 {seen:.6g}：应当相聚的样本{what}",
)
_PUSHED, _LEFT_ALONE = Text(en="pushed apart", zh="被推开"), Text(en="not drawn together", zh="没有被拉近")
_SHORT = Text(
    en="a mask that is right at every pixel costs {seen:.6g}, one that is wrong at every pixel {expected:.6g}: an "
    "overlap of all is counted as less",
    zh="每个像素都正确的掩码损失为 {seen:.6g}，全错的为 {expected:.6g}：完全重叠未被计为 1",
)
_STUCK = Text(
    en="good actions at 0.3 of their old probability and bad ones at twice theirs cost as much as at 0.5 and at 1.5 "
    "times: {seen:.6g}; the clip holds them there",
    zh="好动作的概率降至旧值的 0.3 倍、差动作升至 2 倍，与 0.5 倍和 1.5 倍时损失相同：{seen:.6g}；裁剪使其无法恢复",
)
_PASS = Text(en="right predictions cost less than wrong ones", zh="正确的预测比错误的预测损失更小")
_NONE = Text(en="a prediction of this kind cannot equal its target", zh="此类预测无法与其目标相等")
_OTHERS = {
    "the mean target for all": Text(en="the mean target for all", zh="全部取目标均值"),
    "the targets of other samples": Text(en="the targets of other samples", zh="其他样本的目标"),
    "height and width exchanged": Text(en="height and width exchanged", zh="高宽互换"),
    "something else": Text(en="something else", zh="其他预测"),
    ideals.APART: Text(en="boxes that do not meet theirs", zh="与目标不相交的框"),
    ideals.PARTNERS: Text(en="that each has the partner of another", zh="配对错位"),
    ideals.GROUPS: Text(en="that groups are mixed up", zh="分组打乱"),
    ideals.ORDER: Text(en="that the worse stands above the better", zh="较差者高于较好者"),
    ideals.RISKS: Text(en="that those who die early had low risks", zh="较早死亡者风险较低"),
    ideals.TEACHER: Text(en="what the teacher says of other samples", zh="教师对其他样本的输出"),
    ideals.FLAT: Text(en="the same score for every class", zh="所有类别分数相同"),
    ideals.SURER: Text(en="to be surer than the teacher", zh="比教师更自信"),
    ideals.POLICY: Text(en="that bad actions become likelier", zh="使差的动作更可能"),
    "an anchor at its negative": Text(en="an anchor at its negative", zh="锚点位于负样本处"),
}


def _run(subject: Subject) -> Iterator[Result]:
    found = [_looked_at(subject, seed) for seed in range(_CASES)]
    looked = [f for f in found if f is not None]
    if not looked:
        yield skipped(_NONE)
        return
    failures = [f for f in looked if isinstance(f, Result)]
    # One unlucky batch is no proof: every batch must show it.
    yield failures[0] if len(failures) == len(looked) else passed(_PASS)


def _looked_at(subject: Subject, seed: int) -> Result | bool | None:
    """A failure of one case, true for none, ``None`` where there is nothing to compare."""
    case = subject.case(seed, N=8)
    if max(value.numel() for value in case) > _PRINTED:
        case = subject.case(seed, N=4)
    flaw = _limits(subject, case)
    if flaw is not None and flaw.severity == "bug":
        return flaw
    compared = _candidates(subject, case)
    if compared is None:
        return flaw or (True if ideals.masks(subject, case) is not None else None)
    right, others = compared
    try:
        with torch.no_grad():
            seen = float(subject.value(right))
            costs = {name: float(subject.value(case)) for name, case in others.items()}
    except (Raised, NotALoss):
        return None
    spread = max(abs(v - seen) for v in costs.values())
    for name, cost in costs.items():
        if cost < seen - _CLEARLY * (spread + 1e-9):
            known = ideals.ideals(subject, right) is not None
            text = (_REVERSED if known else _WORSE)(
                seen=seen, other=_OTHERS[name.rstrip("0123456789. ")](), expected=cost
            )
            return failed("bug", text, case=right, seen=f"{seen:.6g}", expected=f"at most {cost:.6g}")
    if (cost := costs.get(ideals.ORDER)) is not None and abs(cost - seen) <= 1e-9 * (1 + abs(seen)):
        text = _ALIKE(other=_OTHERS[ideals.ORDER](), seen=seen)
        return failed("bug", text, case=right, seen=f"{seen:.6g}", expected="less")
    name = "the targets of other samples"
    if name in costs and abs(costs[name] - seen) <= 1e-9 * (1 + abs(seen)) and spread > 1e-6:
        return failed("bug", _UNPAIRED(seen=seen), case=others[name], seen=f"{seen:.6g}", expected="more")
    return flaw or True


def _limits(subject: Subject, case: Case) -> Result | None:
    """A mask that is right and sure, or an action far from where it should be, at the wrong price."""
    try:
        with torch.no_grad():
            if (masks := ideals.masks(subject, case)) is not None:
                right, wrong, surer = (float(subject.value(c)) for c in masks)
                bounded = abs(surer - wrong) <= _CLEARLY and wrong <= 1 + _CLEARLY
                if bounded and right > _LEFT and right < wrong:
                    text = _SHORT(seen=right, expected=wrong)
                    return failed("bug", text, case=masks[0], seen=f"{right:.6g}", expected="0")
            if (pulled := ideals.pulled(subject)) is not None:
                seen, apart = (float(subject.value(c)) for c in pulled)
                if apart <= seen + 1e-9 * (1 + abs(seen)) and seen > -math.inf:
                    worse = apart < seen - _CLEARLY * (1 + abs(seen))
                    text = _APART(expected=apart, seen=seen, what=(_PUSHED if worse else _LEFT_ALONE)())
                    severity = "bug" if worse else "convention"
                    return failed(
                        severity, text, case=pulled[0], seen=f"{seen:.6g}", expected=f"less than {apart:.6g}"
                    )
            if (moves := ideals.moves(subject, case)) is not None:
                near, far = (float(subject.value(c)) for c in moves)
                if abs(near - far) <= 1e-9 * (1 + abs(near)):
                    text = _STUCK(seen=far)
                    return failed(
                        "bug", text, case=moves[1], seen=f"{far:.6g}", expected="more than nearer by"
                    )
    except (Raised, NotALoss):
        return None
    return None


def _candidates(subject: Subject, case: Case) -> tuple[Case, dict[str, Case]] | None:
    """The case with a perfect prediction, and with others."""
    kinds = subject.kinds
    if kinds == ("embeddings",) * 3 and len(subject.predictions) == 3:
        anchor, away = case[0], case[0] + 3.0
        return (anchor, anchor, away), {"an anchor at its negative": (anchor, away, anchor)}
    if (known := ideals.ideals(subject, case)) is not None:
        return known
    if len(kinds) != 2:  # of three, the right prediction may be made of the two others, as in flow matching
        return None
    for position, other in ((0, 1), (1, 0)):
        kind, partner = kinds[position], subject.arguments[other]
        fits = (
            partner.kind in (_ITSELF.get(kind) or SAME_AS_TARGET.get(kind, ())) and partner.role == "target"
        )
        if position in subject.predictions and fits and case[other].shape == case[position].shape:
            bounded = subject.arguments[position].of.high == 1.0
            found = _of_targets(case, position, case[other].to(case[position].dtype), bounded=bounded)
            if found is not None and kind == "boxes":
                away = ideals.apart(case[other])
                found[1].update({name: replaced(case, {position: box}) for name, box in away.items()})
            return found
    return None


def _of_targets(
    case: Sequence[Tensor], position: int, target: Tensor, *, bounded: bool
) -> tuple[Case, dict[str, Case]] | None:
    if target.dim() == 0 or len(target) < 2:
        return None
    given = {
        "the mean target for all": target.mean(0, keepdim=True).expand_as(target).clone(),
        "the targets of other samples": target.roll(1, 0),
        "something else": 1 - target if bounded else target + 1,
    }
    if target.dim() >= 3 and target.shape[-1] == target.shape[-2]:
        given["height and width exchanged"] = target.mT.clone()
    others = {name: replaced(case, {position: value}) for name, value in given.items()}
    return replaced(case, {position: target.clone()}), others


CHECK = Check(
    name="perfect",
    title=Text(en="right predictions cost less than wrong ones", zh="正确的预测比错误的预测损失更小"),
    run=_run,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    """Every prediction against every target."""
    return Subject(
        name="broadcast inside",
        call=lambda x, t: (x.reshape(-1, 1) - t.reshape(-1)).square().mean(),
        arguments=_PAIR,
    )


def sound() -> Subject:
    """A penalty moves the minimum beside the target."""
    return Subject(
        name="penalised mse",
        call=lambda x, t: (x - t).square().mean() + 0.1 * x.square().mean(),
        arguments=_PAIR,
    )
