"""Paths of alignments: every frame, or every point of a lattice, says the right symbol more or less surely."""

from collections.abc import Iterator

import torch
from torch import Tensor

from losscope.losses.paths.path import DOUBLE, Case, Path, by_margin, by_share, kinds_of, shape_of
from losscope.losses.spec import LossSpec


def paths(spec: LossSpec) -> Iterator[Path]:
    """Frames of log-probabilities, or a lattice of scores, with labels and their lengths; 0 is the blank."""
    kinds = kinds_of(spec)
    if kinds == ["frame-log-probabilities", "labels", "frame-lengths", "label-lengths"]:
        yield _frames(spec)
    elif kinds == ["lattice-logits", "labels", "frame-lengths", "label-lengths"]:
        yield _lattice(spec)


def _frames(spec: LossSpec) -> Path:
    """Labels 1, 2, … for equal times each: the alignment without blanks."""
    frames, _, symbols = shape_of(spec, spec.arguments[0])
    labels = 1 + torch.arange(spec.lengths["S"]) % (symbols - 1)
    said = labels.repeat_interleave(-(-frames // len(labels)))[:frames]
    right = torch.nn.functional.one_hot(said, symbols).to(DOUBLE)[:, None]

    def at(p: Tensor) -> Case:
        logarithms = right * p.log() + (1 - right) * ((1 - p) / (symbols - 1)).log()
        return logarithms, labels[None], torch.tensor([frames]), torch.tensor([len(labels)])

    label = f"probability of the right symbol (of {symbols}) in every frame"
    return by_share(label, at, uninformed=1 / symbols)


def _lattice(spec: LossSpec) -> Path:
    """All labels in the first frame, then blanks: at every point of the lattice the next symbol of that path."""
    _, frames, places, symbols = shape_of(spec, spec.arguments[0])
    labels = 1 + torch.arange(places - 1) % (symbols - 1)
    said = torch.cat([labels, torch.zeros(1, dtype=torch.long)])
    right = torch.nn.functional.one_hot(said, symbols).to(DOUBLE).expand(1, frames, places, symbols)
    lengths = torch.tensor([frames]), torch.tensor([len(labels)])
    return by_margin(
        f"margin of the right symbol (of {symbols}) at every point of the lattice",
        lambda m: (m * right, labels[None], *lengths),
    )
