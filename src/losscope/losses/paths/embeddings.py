"""Paths of embeddings: the cosine of what belongs together, while everything else stays at right angles.

Vectors have length 1, so that a loss that looks at directions and one that looks at distances are drawn against the
same number. Losses that hold the columns of two views against each other get the correlation of the views.
"""

import math
from collections.abc import Iterator
from itertools import count

import torch
from torch import Tensor

from losscope.losses.paths.path import ALMOST, DOUBLE, MARGIN, Case, Path, by_cosine, claims, filled, kinds_of
from losscope.losses.spec import LossSpec

_PAIRS = 16


def paths(spec: LossSpec) -> Iterator[Path]:
    """By what follows the first embeddings: nothing, a label per pair, groups, centres, or another embedding."""
    kinds = kinds_of(spec)
    if kinds[0] == "features":
        yield from _head(spec, kinds)
    elif kinds[0] == "embeddings":
        if len(kinds) == 1:
            yield _spread() if claims(spec, "scale-invariant") else _lengths()
        elif kinds[1] == "groups":
            yield _groups()
        elif "class-index" in kinds:
            yield _centres(spec)
        elif kinds[-1] in ("sign-label", "binary-label"):
            yield from _labelled(kinds[-1])
        elif kinds == ["embeddings"] * 3:
            yield _triplet()
        elif kinds == ["embeddings"] * 2:
            yield _pairs(_PAIRS) if claims(spec, "scale-invariant") else _views()
        elif kinds == ["embeddings", "real"]:
            yield _views() if spec.batch_coupled else _pairs(1)


def turned(cosine: Tensor, rows: int, keys: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Unit vectors eᵢ, and partners at this cosine to eᵢ and at right angles to all else: two of [rows, 2 rows].

    With ``keys`` the i-th partner belongs to the vector of that number.
    """
    basis = torch.eye(2 * rows, dtype=DOUBLE)
    own, away = basis[:rows], basis[rows:]
    towards = own if keys is None else own[keys]
    return own, cosine * towards + (1 - cosine * cosine).sqrt() * away


def _pairs(rows: int) -> Path:
    label = "cosine of each pair" + (f" ({rows} pairs, all others at right angles)" if rows > 1 else "")
    return by_cosine(label=label, at=lambda c: turned(c, rows), rows=rows)


def _labelled(kind: str) -> Iterator[Path]:
    apart = 0.0 if kind == "binary-label" else -1.0
    for name, target in (("pair that belongs together", 1.0), ("pair that does not", apart)):
        label = filled(target, 1)
        together = target == 1.0
        yield Path(
            name=name,
            label="cosine of the pair, vectors of length 1",
            at=lambda c, label=label: (*turned(c, 1), label),
            low=-1 + ALMOST,
            high=1 - ALMOST,
            perfect=1 - ALMOST if together else None,
        )


def _triplet() -> Path:
    def at(cosine: Tensor) -> Case:
        anchor, positive = turned(cosine, 1)
        return (
            torch.cat([anchor, filled(0.0, 1, 1)], 1),
            torch.cat([positive, filled(0.0, 1, 1)], 1),
            torch.tensor([[0.0, 0.0, 1.0]], dtype=DOUBLE),
        )

    label = "cosine of anchor and positive; the negative is at a right angle, lengths are 1"
    return by_cosine(label=label, at=at)


def _groups() -> Path:
    """Two members per group: one fixed, one turning."""
    rows = _PAIRS // 2
    groups = torch.arange(rows).repeat(2)
    label = f"cosine of partners ({rows} groups of 2, strangers at right angles)"
    return by_cosine(label=label, at=lambda c: (torch.cat(turned(c, rows)), groups), rows=2 * rows)


def _centres(spec: LossSpec) -> Path:
    classes = spec.lengths["C"]

    def at(cosine: Tensor) -> Case:
        centres, turning = turned(cosine, classes)
        return turning[:1], centres, torch.zeros(1, dtype=torch.long)

    label = f"cosine to the centre of the right class (of {classes}; the others at right angles)"
    return by_cosine(label=label, at=at)


def _head(spec: LossSpec, kinds: list[str]) -> Iterator[Path]:
    """Features against an output layer whose weights are the unit vectors: the scores are the features."""
    classes = spec.lengths["C"]
    rest: dict[str, Tensor] = {
        "head-weight": torch.eye(classes, dtype=DOUBLE),
        "head-bias": filled(0.0, classes),
        "class-index": torch.zeros(1, dtype=torch.long),
    }
    if not rest.keys() >= set(kinds[1:]):
        return
    right = torch.eye(1, classes, dtype=DOUBLE)
    yield Path(
        label=f"margin of the right class (of {classes})",
        low=-MARGIN,
        high=MARGIN,
        at=lambda m: (m * right, *(rest[kind] for kind in kinds[1:])),
        uninformed=0.0,
        perfect=MARGIN,
    )


def _spread() -> Path:
    """The corners of a simplex and the axis through its middle: every two points have the same cosine."""
    n = _PAIRS
    corners = torch.eye(n, dtype=DOUBLE) - 1 / n
    corners = corners / corners.norm(dim=1, keepdim=True)
    least = -1 / (n - 1)

    def at(cosine: Tensor) -> Case:
        common = ((cosine - least) / (1 - least)).sqrt()
        apart = (1 - common * common).sqrt()
        return (torch.cat([apart * corners, common.expand(n, 1)], 1),)

    label = f"cosine between any two of {n} embeddings (1: all alike)"
    return Path(label=label, low=least + ALMOST, high=1 - ALMOST, at=at)


def _lengths() -> Path:
    direction = filled(1 / math.sqrt(2), 1, 2)
    return Path(label="length of each vector", low=0.01, high=3.0, at=lambda x: (x * direction,))


def _views() -> Path:
    """Columns of both views have mean 0, variance 1 and this correlation with their partner, 0 with all others."""
    rows, columns = 16, 3
    times = torch.arange(rows, dtype=DOUBLE) + 0.5
    waves = (torch.cos(math.pi * k / rows * times) for k in count(1))
    basis = torch.stack([math.sqrt(2) * next(waves) for _ in range(2 * columns)], 1)
    first, other = basis[:, :columns], basis[:, columns:]
    return by_cosine(
        label="correlation of each column with its partner in the other view",
        at=lambda c: (c * first + (1 - c * c).sqrt() * other, first),
    )
