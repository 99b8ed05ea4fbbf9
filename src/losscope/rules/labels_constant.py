"""``labels-constant``: every target is the same number, so that there is nothing to learn.

**What it says.** All targets of all sampled batches are equal. The loss falls to its floor and says nothing about the
model.

**Statistic.** Smallest and largest target of the sampled batches are one number. Of n labels that are all alike,
other classes have a share below 3/n at a level of 95 %: at least 1000 labels, or as many in late batches whose loss
is too small for one label of another class, since one that is not the likeliest costs at least ln 2. At least 200
real numbers.

**Source.** The rule of three: Hanley and Lippman-Hand (1983), doi:10.1001/jama.1983.03330370053031.

**Example.** ``y = torch.tensor(scores).long()`` of scores between 0 and 1: all zeros. A column that was read from the
wrong place; ``y = labels[0]`` for ``labels[i]``.

**Remedy.** Look at ``torch.unique(y)`` where the targets are made.

**False alarms.** Not judged for objectives trained in alternation (the labels of real and fake samples are constants)
and before one pass over the data (sorted labels). Silent where another term has other targets, and where a residual
is compared with zero, as for differential equations: a prediction must come straight from a layer.
"""

import math
import re

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.numbers import readable
from losscope.rules.planted import Planted, PlantedTerm, every, falling, record
from losscope.rules.reasons import coupled as in_alternation
from losscope.rules.reasons import no_loss
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import coupled, losses, main_stream, values
from losscope.rules.terms import TermView, data_terms
from losscope.rules.training_data import passed

_LABELS, _NUMBERS, _BATCHES = 1000, 200, 3
_TASKS = frozenset({"binary", "multi-class", "multi-label", "ordinal", "regression"})
_STRAIGHT = re.compile(
    r"((\w+Loss|BinaryCrossEntropy\w*) |((Mean|Sum|Div|Mul|View) )*(Pow|Abs) Sub )"
    r"((View|UnsafeView|ReshapeAlias|Squeeze|Unsqueeze|Select|ToCopy) )*"
    r"(Addmm|Mm|Mv|Addmv|Linear|Convolution|MkldnnLinear|Baddbmm|Bmm) "
)
"""A loss, fused or written by hand, of what a layer gives, up to views; as names of the nodes of its graph."""
_FEW = Text(
    en="all of the {count} targets that were seen are {value}, which is too few to tell that all targets are",
    zh="观察到的 {count} 个目标全部为 {value}，数量太少，不足以断定所有目标都相同",
)
_ONE_PASS = Text(en="not one pass over the data has ended", zh="还没有完整遍历一遍数据")
_TITLE = Text(
    en="Every target is {value}: there is nothing to learn", zh="所有目标都是 {value}：没有可学习的内容"
)
_EVIDENCE = Text(
    en="all {count} targets of {batches} sampled batches are {value}",
    zh="{batches} 个采样批次中的全部 {count} 个目标都是 {value}",
)
_EXPECTED = Text(en="targets that differ", zh="各不相同的目标")
_REMEDY = Text(
    en="Look at torch.unique(y) where the targets are made: a conversion to integers makes 0 of every number between 0 "
    "and 1, and a wrong index or column takes the same entry each time.",
    zh="请在生成目标处检查 torch.unique(y)：转换为整数会把 0 与 1 之间的数都变成 0，错误的索引或列每次都取到同一项。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording)
    if stream is None:
        return no_loss()
    rivals = coupled(recording)
    if rivals > 1:
        return in_alternation(rivals)
    judged = data_terms(recording, stream)
    found = [_constant(recording, t) for t in judged]
    if not judged or any(c is None or c != found[0] for c in found):
        return []
    value, term = float(found[0] or 0.0), judged[0]
    if term.task not in _TASKS or (term.task == "regression" and not _straight(recording, term)):
        return []
    if not passed(recording):
        return NotJudged(_ONE_PASS())
    sizes = values(recording, signals.BATCH_SIZE, term.label)
    count = int(sizes.sum())
    needed = _NUMBERS if term.task == "regression" else _LABELS
    if sizes.size < _BATCHES or (
        count < needed and not _settled(recording, term, stream, float(sizes.mean()))
    ):
        return NotJudged(_FEW(count=count, value=readable(value)))
    evidence = Evidence(
        text=_EVIDENCE(count=count, batches=int(sizes.size), value=readable(value)),
        signal=signals.TARGET_MAX.name,
        label=term.label,
        value=value,
        expected=_EXPECTED(),
    )
    title = _TITLE(value=readable(value))
    return [
        RULE.finding(title=title, confidence=0.95, evidence=(evidence,), remedy=_REMEDY(), where=term.where)
    ]


def _constant(recording: Recording, term: TermView) -> float | None:
    low, high = (values(recording, s, term.label) for s in (signals.TARGET_MIN, signals.TARGET_MAX))
    if low.size == 0 or high.size == 0:
        return None
    return float(low[0]) if float(low.min()) == float(high.max()) else None


def _straight(recording: Recording, term: TermView) -> bool:
    """Whether a prediction is what a layer, or an activation behind it, gives."""
    if term.prediction.get("activation"):
        return True
    event = recording.events_of("anatomy")[-1]
    listed = event["terms"][int(term.label.rpartition("/")[2])].get("chain") or ()
    names = (str(name).partition("Backward")[0] for name in listed)
    return _STRAIGHT.match("".join(f"{name} " for name in names)) is not None


def _settled(recording: Recording, term: TermView, stream: str, batch: float) -> bool:
    """Whether the late losses leave no room for a label of another class, in enough batches."""
    if not term.is_nats or term.reduction != "mean" or not term.is_whole_loss:
        return False
    late = losses(recording, stream)
    late = late[len(late) // 2 :] / (abs(term.coefficient) or 1.0)
    return bool(late.size * batch >= _LABELS and np.max(late) * batch < math.log(2))


RULE = Rule(
    code="labels-constant",
    severity="error",
    title=Text(en="Every target is the same", zh="所有目标都相同"),
    judge=judge,
    needs=(signals.LOSS, signals.TARGET_MIN, signals.TARGET_MAX),
    consequences=("loss-at-chance", "loss-below-chance", "overfitting", "plateau-above-floor"),
)


def broken() -> Recording:
    """Scores between 0 and 1 that were made integers: 30 batches of 64 zeros."""
    return _planted(0.0)


def healthy() -> Recording:
    """Two classes, of which the second is rare."""
    return _planted(1.0)


def _planted(most: float) -> Recording:
    series: Planted = {
        (signals.TARGET_MIN, "0/0"): every(20, 600, 0.0),
        (signals.TARGET_MAX, "0/0"): every(20, 600, [0.0] * 29 + [most]),
        (signals.BATCH_SIZE, "0/0"): every(20, 600, 64.0),
    }
    term = PlantedTerm(contract={"task": "multi-class", "unit": "nats"})
    return record(falling(), terms=[term], series=series)
