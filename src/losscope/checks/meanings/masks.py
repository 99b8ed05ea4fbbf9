"""Masks of two kinds of pixels: does the loss take scores or probabilities?"""

from collections.abc import Mapping

import torch
from torch import Tensor

from losscope.checks.probing import FITS, MAYBE, NOT, Probe, any_real, at
from losscope.checks.subject import Subject


def _mask(subject: Subject) -> float:
    """Whether a loss of masks takes scores or probabilities, as its task says.

    On a mask with both kinds of pixels a loss of scores has settled at right scores of ±8: twice as large ones hardly
    change it. A loss of probabilities that is given scores goes on falling.
    """
    prediction, target = subject.case(0)
    answer = target.reshape(prediction.shape)

    def value(given: Tensor) -> float:
        return at(subject, (given, target))

    if subject.kind(0) == "mask-logits":
        nothing, sure, surer = (value(size * (2 * answer - 1)) for size in (0.0, 8.0, 16.0))
        right = sure < nothing and abs(surer - sure) <= 0.05 * (nothing - sure)
    else:
        right = value(0.99 * answer + 0.005) < value(torch.full_like(answer, 0.5)) < value(1 - answer)
    return NOT if not right else MAYBE if any_real(subject) else FITS


PROBES: Mapping[str, Probe] = dict.fromkeys(
    (
        *("segmentation", "segmentation-probabilities", "segmentation-plain"),
        *("segmentation-squeezed", "segmentation-plain-probabilities"),
    ),
    _mask,
)
