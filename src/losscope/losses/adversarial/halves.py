"""What the losses of discriminators share: a real and a generated half, each reduced by itself and then added."""

from torch import Tensor

from losscope.losses.reduction import reduce, same_shape


def add_halves(real: Tensor, fake: Tensor, reduction: str) -> Tensor:
    """mean + mean, or sum + sum, of losses of two batches whose sizes may differ; "none" adds pair by pair."""
    if reduction == "none":
        same_shape(real, fake, ("real", "fake"))
    return reduce(real, reduction) + reduce(fake, reduction)
