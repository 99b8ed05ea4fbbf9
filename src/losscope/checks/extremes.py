"""Inputs at the edge of what a loss takes: saturated scores, perfect answers, zeros, ties, empty and full masks."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.checks.subject import Case, Subject, replaced

LARGE = 1e4
LABELS = frozenset(
    {
        *("class-index", "class-index-map", "class-number", "ordinal-index", "one-hot"),
        *("binary", "binary-label", "mask"),
    }
)
"""Targets that are certain."""
_CERTAIN = "certain probabilities (0 and 1)"


@dataclass(frozen=True, slots=True)
class Extreme:
    """A case and what is extreme about it; ``reach`` is the size of its largest unbounded number.

    ``boundary``: predictions lie on the edge of a bounded domain (a probability of exactly 0), where a true value may
    be infinite. ``bent(size)`` is the same case with other sizes of the unbounded numbers.
    """

    name: str
    case: Case
    reach: float = 0.0
    boundary: bool = False
    at: "tuple[int, Tensor] | None" = None

    def bent(self, size: float) -> Case:
        """The same pattern with unbounded numbers of this size."""
        assert self.at is not None
        position, pattern = self.at
        return replaced(self.case, {position: pattern * size})


def extremes(subject: Subject) -> Iterator[Extreme]:
    """Every extreme case of a subject, ordinary elsewhere."""
    case = subject.case(1)
    for position in subject.predictions:
        kind = subject.arguments[position].of
        if kind.low == 0.0 and kind.high == 1.0:
            yield from _probabilities(subject, case, position)
        elif subject.kind(position) == "boxes":
            yield from _boxes(case, position)
        elif kind.high == 0.0:
            yield from _log_probabilities(case, position)
        elif kind.low == 0.0:
            yield Extreme(
                "tiny positive numbers", replaced(case, {position: torch.full_like(case[position], 1e-6)})
            )
        else:
            yield from _unbounded(case, position)
    yield from _perfect(subject, case)
    yield from _zeros(subject, case)
    yield from _masks(subject, case)


def _unbounded(case: Case, position: int) -> Iterator[Extreme]:
    like = case[position]
    signs = torch.where(like >= 0, 1.0, -1.0).to(like.dtype)
    for name, pattern in (
        ("mixed", signs),
        ("all high", torch.ones_like(like)),
        ("all low", -torch.ones_like(like)),
    ):
        filled = replaced(case, {position: pattern * LARGE})
        yield Extreme(f"predictions of ±1e4 ({name})", filled, LARGE, at=(position, pattern))
    for size in (50.0, 200.0):
        yield Extreme(
            f"predictions of ±{size:g}", replaced(case, {position: signs * size}), size, at=(position, signs)
        )
    yield Extreme("all predictions 0", replaced(case, {position: torch.zeros_like(like)}))
    yield Extreme("all predictions equal", replaced(case, {position: torch.full_like(like, 0.7)}))


def _probabilities(subject: Subject, case: Case, position: int) -> Iterator[Extreme]:
    like = case[position]
    if subject.kind(position) == "class-probabilities":
        hot = torch.nn.functional.one_hot(like.argmax(1), like.shape[1]).movedim(-1, 1).to(like.dtype)
        yield from _right(subject, case, position)
        yield Extreme(_CERTAIN, replaced(case, {position: hot}), boundary=True)
        return
    rounded = like.round()
    yield from _right(subject, case, position)
    yield Extreme(_CERTAIN, replaced(case, {position: rounded}), boundary=True)
    yield Extreme("all probabilities 0", replaced(case, {position: torch.zeros_like(like)}), boundary=True)
    yield Extreme("all probabilities 1", replaced(case, {position: torch.ones_like(like)}), boundary=True)


def _right(subject: Subject, case: Case, position: int) -> Iterator[Extreme]:
    """Probabilities of exactly 1 for the labels, as a softmax of scores that are right and large gives them."""
    like = case[position]
    for other in subject.targets:
        kind, target = subject.kind(other), case[other]
        if kind in ("class-index", "class-index-map", "ordinal-index"):
            hot = torch.nn.functional.one_hot(target, like.shape[1]).movedim(-1, 1)
        elif kind in LABELS and target.numel() == like.numel():
            hot = target.reshape(like.shape)
        else:
            continue
        yield Extreme(
            "certain and right probabilities (0 and 1)",
            replaced(case, {position: hot.to(like.dtype)}),
            boundary=True,
        )
        return


def _log_probabilities(case: Case, position: int) -> Iterator[Extreme]:
    like = case[position]
    low = replaced(case, {position: torch.full_like(like, -LARGE)})
    yield Extreme("log-probabilities of -1e4", low, LARGE, at=(position, -torch.ones_like(like)))
    yield Extreme(
        "log-probabilities of 0 (certainty)",
        replaced(case, {position: torch.zeros_like(like)}),
        boundary=True,
    )


def _boxes(case: Case, position: int) -> Iterator[Extreme]:
    like = case[position]
    point = torch.cat([like[..., :2], like[..., :2]], -1)
    yield Extreme("boxes without area", replaced(case, {position: point}))
    yield Extreme("boxes far away", replaced(case, {position: like + 100.0}), 100.0)
    zeros = replaced(case, {i: torch.zeros_like(v) for i, v in enumerate(case) if v.shape[-1:] == (4,)})
    yield Extreme("all boxes at the origin without area", zeros)


SAME_AS_TARGET = {
    "values": ("real", "positive", "counts", "unit"),
    "positive-values": ("positive",),
    "probabilities": ("binary", "unit"),
    "mask-probabilities": ("mask",),
    "class-probabilities": ("one-hot", "distribution"),
    "boxes": ("target-boxes",),
    "samples": ("reference-samples",),
    "embeddings": ("embeddings",),
}


def _zeros(subject: Subject, case: Case) -> Iterator[Extreme]:
    """A prediction and its target of exactly 0: relative errors divide by both."""
    for position in subject.predictions:
        for other in subject.targets:
            same = case[other].shape == case[position].shape and case[position].numel() > 1
            if same and (subject.kind(position), subject.kind(other)) == ("values", "real"):
                changes = {i: case[i].clone() for i in (position, other)}
                for value in changes.values():
                    value.view(-1)[0] = 0.0
                yield Extreme("one prediction and its target 0", replaced(case, changes))


def _perfect(subject: Subject, case: Case) -> Iterator[Extreme]:
    """Predictions that equal their target, and embeddings that coincide."""
    for position in subject.predictions:
        partners = SAME_AS_TARGET.get(subject.kind(position), ())
        for other, argument in enumerate(subject.arguments):
            if other != position and argument.kind in partners and case[other].shape == case[position].shape:
                same = replaced(case, {position: case[other].to(case[position].dtype)})
                edge = subject.arguments[position].of.high == 1.0
                yield Extreme("prediction equals target", same, boundary=edge)
                if argument.kind == "unit":
                    hard = case[other].round().to(case[position].dtype)
                    right = replaced(case, {position: hard, other: hard})
                    yield Extreme("certain and right (0 and 1)", right, boundary=True)
                return


_ABSENT = {"mask-probabilities": 0.0, "probabilities": 0.0, "mask-logits": -LARGE, "binary-logits": -LARGE}


def _masks(subject: Subject, case: Case) -> Iterator[Extreme]:
    """Targets with nothing and with everything in them, answered rightly and wrongly."""
    for position in subject.targets:
        kind = subject.kind(position)
        if kind not in (
            "mask",
            "binary",
            "binary-label",
            "events",
            "class-index-map",
            "class-index",
            "groups",
        ):
            continue
        like = case[position]
        yield Extreme(
            f"target with nothing in it ({kind} all 0)", replaced(case, {position: torch.zeros_like(like)})
        )
        if kind in ("mask", "binary", "binary-label", "events"):
            yield Extreme(
                "target with everything in it (all 1)", replaced(case, {position: torch.ones_like(like)})
            )
        if kind == "groups":
            yield Extreme(
                "no two samples belong together", replaced(case, {position: torch.arange(len(like))})
            )
        for prediction in subject.predictions:
            absent = _ABSENT.get(subject.kind(prediction))
            if kind in ("mask", "binary", "binary-label") and absent is not None:
                empty = torch.full_like(case[prediction], absent)
                nothing = {position: torch.zeros_like(like), prediction: empty}
                yield Extreme("nothing there and nothing predicted", replaced(case, nothing))
