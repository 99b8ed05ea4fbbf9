"""Where the loss is: value, data term and penalty, chance level, floor and skill.

All are of the objective, a mean over samples. Of a loss that sums it is told how many times that mean it is.
"""

from collections.abc import Iterator

from losscope.core.estimate import Estimate
from losscope.core.text import Text, percent
from losscope.examination.look import Fact, Look
from losscope.examination.place import Place

_VALUE = Text(
    en="the loss is {value:.6g} over {samples:,} samples and {size:,} parameters: {expression}",
    zh="损失为 {value:.6g}（{samples:,} 个样本，{size:,} 个参数）：{expression}",
)
_PENALTY = Text(
    en="of it {data:.6g} is the data term and {penalty:.6g} ({share}) the penalty",
    zh="其中数据项 {data:.6g}，惩罚项 {penalty:.6g}（{share}）",
)
_SKILL = Text(
    en="{skill:.1%} of the way from the chance level {chance:.4g} to the floor {floor:.4g}",
    zh="已走完从随机水平 {chance:.4g} 到下限 {floor:.4g} 的 {skill:.1%}",
)
_WORSE = Text(
    en="no better than a constant: the best constant prediction gives {chance:.4g}, {excess:.2g} less",
    zh="不优于常数预测：最优常数预测的损失为 {chance:.4g}，低 {excess:.2g}",
)
_CHANCE = Text(
    en="the best constant prediction would give {chance:.4g}", zh="最优常数预测的损失为 {chance:.4g}"
)

_SUMS = Text(
    en="the loss as it is given sums over a batch, to {scale:.6g} times its mean over samples, which all of this is "
    "about: a learning rate for the mean, divided by {scale:.6g}, is one for the sum",
    zh="所给损失在批次上求和，为样本均值的 {scale:.6g} 倍，此处均按均值："
    "均值的学习率除以 {scale:.6g} 即为求和损失的学习率",
)
_BY_SAMPLES = Text(
    en="the denominator of the loss is not known: its {batches:,} batches are weighed by their samples",
    zh="损失的分母未知：{batches:,} 个批次按样本数加权",
)


def _run(place: Place) -> Iterator[Fact]:
    objective = place.objective
    yield Fact(
        name="value",
        text=_VALUE(
            value=place.value, samples=objective.samples, size=objective.size, expression=objective.expression
        ),
        value=Estimate(place.value),
    )
    if objective.scale != 1:
        yield Fact(name="scale", text=_SUMS(scale=objective.scale), value=Estimate(objective.scale))
    if objective.weighing.by == "samples" and len(objective.batches) > 1:
        yield Fact(name="weighing", text=_BY_SAMPLES(batches=len(objective.batches)), value=None)
    penalty = objective.penalty_value()
    data = place.value - penalty
    if penalty:
        share = penalty / place.value if place.value else 0.0
        yield Fact(
            name="penalty",
            text=_PENALTY(data=data, penalty=penalty, share=percent(share)),
            value=Estimate(penalty),
            figures={"data": data, "share": share},
        )
    chance, floor = objective.chance, objective.floor
    if chance is not None and floor is not None and chance > floor:
        skill = (chance - data) / (chance - floor)
        text = _SKILL(skill=skill, chance=chance, floor=floor)
        if skill <= 0:
            text = _WORSE(chance=chance, excess=data - chance)
        figures = {"chance": chance, "floor": floor}
        yield Fact(name="skill", text=text, value=Estimate(skill), figures=figures)
    elif chance is not None:
        yield Fact(name="chance", text=_CHANCE(chance=chance), value=Estimate(chance))


LOOK = Look(name="value", title=Text(en="value", zh="损失值"), rank=0, cost=1, run=_run)
