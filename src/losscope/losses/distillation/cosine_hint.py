"""Cosine hint: 1 - cos of a student's and a teacher's features, which ignores their scales.

0 where every student vector points as the teacher's does, **1 for unrelated directions** (in high dimension nearly
exactly), 2 for opposite ones. With the squared error instead (FitNets: ``mse``) teacher features of large scale
dominate the objective. Features that share a large mean, as after ReLU, have cosines near 1 for unrelated inputs:
then the value starts low and says little; centre them first.
"""

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import unit
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "CosineHintLoss", "cosine_hint_loss"]


def cosine_hint_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """1 - cos over the last axis of student features ``input`` and teacher features ``target``, both [N, …, D].

    A zero vector has cosine 0. As in DistilBERT, Sanh et al., arXiv:1910.01108, section 2.

    >>> import torch
    >>> float(cosine_hint_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]])))
    1.0
    """
    same_shape(input, target)
    input, target = full_precision(input, target)
    return reduce(1 - (unit(input) * unit(target)).sum(-1), reduction)


CosineHintLoss = as_module(cosine_hint_loss, "CosineHintLoss")

SPEC = LossSpec(
    name="cosine_hint",
    title="cosine hint",
    family="distillation",
    task="distillation",
    formula=r"1-\cos(f_S,f_T)",
    input_space="embeddings",
    function=cosine_hint_loss,
    module=CosineHintLoss,
    arguments=(Argument("input", "embeddings"), Argument("target", "real")),
    variants=({"reduction": "sum"},),
    range=(0.0, 2.0),
    attained="where student and teacher features have the same direction",
    floor=zero_floor,
    claims=(
        Claim("scale-invariant"),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
        Claim("convex", holds=False),
    ),
    denominator="number of vectors",
    references=("https://arxiv.org/abs/1910.01108", "https://arxiv.org/abs/1412.6550"),
)
