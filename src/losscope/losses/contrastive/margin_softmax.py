"""What ArcFace and CosFace share: cosines with class centres, and a cross-entropy with one changed logit."""

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses.contrastive.pairs import require_rows


def require_centres(input: Tensor, weight: Tensor, target: Tensor) -> None:
    """Refuse centres that are not [C, D] for embeddings [N, D] with classes [N]."""
    require_rows(input, target)
    require_rows(weight, name="weight")
    if weight.shape[1] != input.shape[1]:
        raise BadUsage(
            "embeddings and class centres must have the same dimension",
            seen=f"{tuple(input.shape)} and {tuple(weight.shape)}",
            remedy="weight is [C, D]",
        )


def replaced_cross_entropy(logits: Tensor, target: Tensor, own: Tensor) -> Tensor:
    """Cross-entropy [N] of ``logits`` [N, C] after the logit of the target class has become ``own`` [N].

    ``own`` comes from a ``gather``, which raises for a class out of range.
    """
    return torch.where(at_class(logits, target), own[:, None], logits).logsumexp(1) - own


def at_class(logits: Tensor, target: Tensor) -> Tensor:
    """Where the column is the class of the row, [N, C]."""
    return torch.arange(logits.shape[1], device=logits.device) == target[:, None]
