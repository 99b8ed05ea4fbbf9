"""A sample is no partner of its own.

In a softmax over similarities every sample is most similar to itself. If that entry is not masked, it takes its share
of the probability for ever: two equal views of one image then cost exactly ln 2, whatever the vectors are, and the
loss has a floor that no network can reach below. If the sample counts as a positive of its own, pulling true positives
together can even raise the loss. So a batch is made of a single pair, or a single group of two: there is nothing else
to be told from, and equal vectors must cost nothing more than any others, and no positive constant ln k.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.ideals import COMPARED, NOT_COMPARED
from losscope.checks.subject import Case, NotALoss, Raised, Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_CLOSE = 1e-4
_SEEDS = 3

_ITSELF = Text(
    en="two equal views of one sample cost {seen:.6g} = ln {count}, whatever the vectors are: each is compared with "
    "itself, and the loss cannot fall below that",
    zh="同一样本的两个相同视图损失为 {seen:.6g} = ln {count}，与向量无关：样本与自身比较，损失无法低于此值",
)
_POSITIVE = Text(
    en="equal vectors of one group cost {seen:.6g}, opposite ones {expected:.6g}: a sample counts as its own positive",
    zh="同组中相同的向量损失为 {seen:.6g}，相反的为 {expected:.6g}：样本被当作自身的正样本",
)
_PASS = Text(en="a single pair has nothing to be told from", zh="单独一对样本没有其他对象可比")
_ALONE = Text(en="a single pair has no loss of its own", zh="单独一对样本没有损失")


def _run(subject: Subject) -> Iterator[Result]:
    kinds = subject.kinds
    if kinds not in COMPARED:
        yield skipped(NOT_COMPARED)
        return
    try:
        with torch.no_grad():
            found = [
                (_value(subject, kinds, seed, 1.0), _value(subject, kinds, seed, -1.0))
                for seed in range(_SEEDS)
            ]
    except (Raised, NotALoss):
        yield skipped(_ALONE)
        return
    equal, opposite = [e for e, _ in found], [o for _, o in found]
    if not all(map(math.isfinite, (*equal, *opposite))):
        yield skipped(_ALONE)
        return
    case = _pair(subject, kinds, 0, 1.0)
    count = round(math.exp(min(equal[0], 50.0)))
    scale = max(1.0, abs(equal[0]))
    constant = _one_softmax(subject, kinds) and max(equal) - min(equal) <= _CLOSE * scale
    if (
        constant
        and count in (2, 3, 4)
        and abs(equal[0] - math.log(count)) <= _CLOSE
        and max(opposite) > equal[0]
    ):
        text = _ITSELF(seen=equal[0], count=count)
        yield failed("bug", text, case=case, seen=f"{equal[0]:.6g}", expected="0")
    elif all(o < e - 1e-6 * (1 + abs(e)) for e, o in found):
        text = _POSITIVE(seen=equal[0], expected=opposite[0])
        yield failed("bug", text, case=case, seen=f"{equal[0]:.6g}", expected=f"at most {opposite[0]:.6g}")
    else:
        yield passed(_PASS)


def _one_softmax(subject: Subject, kinds: tuple[str, ...]) -> bool:
    """Whether three pairs of equal vectors cost ln k with k up to 6: more is no softmax over six candidates."""
    if kinds[1] != "embeddings":
        return True
    vector = subject.case(0, N=2)[0][:1].expand(3, -1)
    with torch.no_grad():
        value = float(subject.value((vector, vector)))
    return any(abs(value - math.log(k)) <= _CLOSE for k in range(2, 7))


def _pair(subject: Subject, kinds: tuple[str, ...], seed: int, sign: float) -> Case:
    """One vector and the same, or its opposite: as two views, or as one group."""
    vector = subject.case(seed, N=2)[0][:1]
    if kinds[1] == "embeddings":
        return vector, sign * vector
    return torch.cat([vector, sign * vector]), torch.zeros(2, dtype=torch.int64)


def _value(subject: Subject, kinds: tuple[str, ...], seed: int, sign: float) -> float:
    return float(subject.value(_pair(subject, kinds, seed, sign)))


CHECK = Check(
    name="self-similarity",
    title=Text(en="a sample is not compared with itself", zh="样本不与自身比较"),
    run=_run,
)

_PAIR = (Argument("first", "embeddings"), Argument("second", "embeddings"))


def _two_views(a: Tensor, b: Tensor, *, masked: bool) -> Tensor:
    z = torch.nn.functional.normalize(torch.cat([a, b]), dim=1)
    logits = 2 * z @ z.T
    n, size = len(a), len(z)
    if masked:
        logits = logits.masked_fill(torch.eye(size, dtype=torch.bool), -math.inf)
    partner = torch.cat([torch.arange(n, size), torch.arange(n)])
    return torch.nn.functional.cross_entropy(logits, partner)


def broken() -> Subject:
    """NT-Xent without a mask on the diagonal."""
    return Subject(name="unmasked", call=lambda a, b: _two_views(a, b, masked=False), arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="masked", call=lambda a, b: _two_views(a, b, masked=True), arguments=_PAIR)
