"""Vectors are normalised one by one, not column by column over the batch.

A cosine does not see a positive number that multiplies one vector; normalised along the wrong axis (``dim=0``) it does,
and does not see one that multiplies a feature in the whole batch instead: what a pair costs then depends on the other
pairs. Losses that standardise features over the batch by design (Barlow Twins, correlations) also take their mean away
and do not see a shift of a feature either; they are left alone. The axis is a **bug** where the loss is a sum over the
columns (a cosine of columns), else a **convention** (a contrast between features may be meant).
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.invariance import TOLERANCE, random
from losscope.checks.subject import Case, NotALoss, Raised, Subject, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_CASES = 3
_VECTORS = "embeddings"

_WRONG = Text(
    en="vectors are normalised over the batch: multiplying a feature of all samples by a number leaves the loss at "
    "{before:.6g}, multiplying one vector by a number gives {after:.6g}",
    zh="向量在批次方向上归一化：把某一特征在全部样本上乘以一个数，损失仍为 {before:.6g}；把单个向量乘以一个数，"
    "损失变为 {after:.6g}",
)
_PASS = Text(
    en="multiplying a feature of all samples by a number changes the loss, or one vector may be multiplied too",
    zh="把某一特征在全部样本上乘以一个数会改变损失，或单个向量也可以乘以一个数",
)
_NONE = Text(en="the loss compares no vectors", zh="该损失不比较向量")


def _run(subject: Subject) -> Iterator[Result]:
    vectors = [i for i, kind in enumerate(subject.kinds) if kind == _VECTORS and subject.axis(i) == 0]
    if not vectors:
        yield skipped(_NONE)
        return
    cases = [subject.case(seed, N=8) for seed in range(_CASES)]
    wrong = (
        _blind(subject, cases, lambda c, s: _scaled(c, vectors, 1, s))
        and not _blind(subject, cases, lambda c, s: _scaled(c, vectors, 0, s))
        and not _blind(subject, cases, lambda c, s: _shifted(c, vectors, s))
    )
    yield _failure(subject, cases, vectors) if wrong else passed(_PASS)


def _scaled(case: Case, vectors: list[int], kept: int, seed: int) -> Case:
    """Every feature (``kept`` 1) or every vector (0) times a number of its own, another for each argument."""

    def factors(position: int) -> Tensor:
        shape = [size if axis == kept else 1 for axis, size in enumerate(case[position].shape)]
        return random(shape, 17 * seed + position).exp()

    return replaced(case, {i: case[i] * factors(i) for i in vectors})


def _shifted(case: Case, vectors: list[int], seed: int) -> Case:
    """Every feature plus a number of its own."""
    return replaced(case, {i: case[i] + random((1, case[i].shape[1]), 17 * seed + i) for i in vectors})


def _blind(subject: Subject, cases: list[Case], change: Callable[[Case, int], Case]) -> bool:
    """Whether no such change is seen, while the loss does see its vectors."""
    sees = False
    with torch.no_grad():
        for seed, case in enumerate(cases):
            before, after = (float(subject.value(c)) for c in (case, change(case, seed)))
            other = float(subject.value(replaced(case, {0: case[0].flip(0)})))
            # An ε beside a norm of a few vectors is seen a little.
            if not abs(after - before) <= 10 * TOLERANCE * (abs(before) + abs(after)):
                return False
            sees = sees or abs(other - before) > 1e-3 * (abs(before) + abs(other))
    return sees


def _by_columns(subject: Subject, case: Case, vectors: list[int]) -> bool:
    """Whether the loss is the mean or the sum of the losses of single columns."""
    size = case[vectors[0]].shape[1]
    try:
        with torch.no_grad():
            whole = float(subject.value(case))
            single = [
                float(subject.value(replaced(case, {i: case[i][:, k : k + 1] for i in vectors})))
                for k in range(size)
            ]
    except (Raised, NotALoss):
        return False
    return any(abs(whole - each) <= 1e-5 * (1 + abs(whole)) for each in (sum(single), sum(single) / size))


def _failure(subject: Subject, cases: list[Case], vectors: list[int]) -> Result:
    case = subject.case(0, N=3)
    multiplied = _scaled(case, vectors, 0, 0)
    multiplied = replaced(multiplied, {i: multiplied[i].round(decimals=3) for i in vectors})
    with torch.no_grad():
        before, after = float(subject.value(case)), float(subject.value(multiplied))
    return failed(
        "bug" if _by_columns(subject, cases[0], vectors) else "convention",
        _WRONG(before=before, after=after),
        case=multiplied,
        seen=f"{after:.6g}",
        expected=f"{before:.6g}, as before the vectors were multiplied",
    )


CHECK = Check(
    name="vector-axis",
    title=Text(en="vectors are normalised one by one", zh="向量逐个归一化"),
    run=_run,
)

_PAIR = (Argument("first", "embeddings"), Argument("second", "embeddings"))


def broken() -> Subject:
    return Subject(
        name="cosine of columns",
        call=lambda a, b: (1 - F.cosine_similarity(a, b, dim=0)).mean(),
        arguments=_PAIR,
    )


def sound() -> Subject:
    """Barlow Twins standardises every feature over the batch, and means it."""

    def twins(a: Tensor, b: Tensor) -> Tensor:
        a, b = ((z - z.mean(0)) / z.std(0) for z in (a, b))
        c = a.T @ b / (len(a) - 1)
        on, all_of = (c.diagonal() - 1).square().sum(), c.square().sum()
        return on + 0.005 * (all_of - c.diagonal().square().sum())

    return Subject(name="barlow twins", call=twins, arguments=_PAIR)
