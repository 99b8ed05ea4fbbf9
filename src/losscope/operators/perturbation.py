"""Random perturbations ε of the parameters, as their covariance Σ = S Sᵀ with a root S that is known by its products.

ε = S z with z normal, so that the expected rise of a loss is E L(θ+ε) - L(θ) = ½ tr(HΣ) = ½ tr(SᵀHS) and higher
orders.

* ``isotropic``: Σ = σ² I. It depends on the scale of the weights: ReLU layers that are rescaled by (α, 1/α) are the
  same network with another rise (Dinh et al., 2017, arXiv:1703.04933).
* ``filter_scaled``: each filter (row of a weight) moves by a part ρ of its own norm, E‖ε_f‖² = ρ²‖w_f‖² (Li et al.,
  2018, arXiv:1712.09913). Unchanged if whole ReLU layers are rescaled, but not unit by unit: the rows of the next
  layer then change their shape.
* ``element_scaled``: each weight by a part of itself, Σ = ρ² diag(θ²) (Kwon et al., 2021, arXiv:2102.11600).
  Unchanged if ReLU layers or single units are rescaled.
* ``sgd_noise``: Σ = η C / B, with the covariance C of per-sample gradients, learning rate η and batch size B: the
  diffusion of the stochastic differential equation of SGD per unit of time t = η · steps (Mandt et al., 2017,
  arXiv:1704.04289). One step moves the parameters by noise of covariance η² C / B, which is η Σ.
* ``feature_noise``: the weight of one layer is multiplied by (I + ρ Z): its inputs are off by random mixtures.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.operators.gradient_covariance import GradientCovariance
from losscope.operators.of_objective import OfObjective

__all__ = [
    "Perturbation",
    "element_scaled",
    "feature_noise",
    "filter_scaled",
    "isotropic",
    "sgd_noise",
]


class Perturbation(OfObjective):
    """Σ = S Sᵀ [P, P] of an objective's parameters. ``root`` maps blocks [latent, k] to [P, k], ``transpose`` back.

    ``sigma`` is set where Σ = σ² I, for which there are closed forms.
    """

    def __init__(
        self,
        objective: Objective,
        latent: int,
        root: Callable[[Tensor], Tensor],
        transpose: Callable[[Tensor], Tensor],
        *,
        name: str,
        sigma: float | None = None,
    ) -> None:
        super().__init__(objective)
        self.latent, self.root, self.transpose = latent, root, transpose
        self.name, self.sigma = name, sigma

    def apply(self, vectors: Tensor) -> Tensor:
        return self.root(self.transpose(vectors))

    def draw(self, random: torch.Generator) -> Tensor:
        """One ε [P]; ``random`` is a generator on the CPU, so that devices agree."""
        z = torch.randn(self.latent, 1, generator=random, dtype=torch.float64)
        return self.root(z.to(self.device, self.dtype))[:, 0]


def diagonal(objective: Objective, scale: Tensor, name: str) -> Perturbation:
    """Σ = diag(scale²), for a vector [P]."""
    scale = scale.to(objective.parameters[0])

    def times(vectors: Tensor) -> Tensor:
        return scale[:, None] * vectors

    return Perturbation(objective, objective.size, times, times, name=name)


def isotropic(objective: Objective, sigma: float) -> Perturbation:
    """Σ = σ² I."""
    sigma = _positive("the size of a perturbation", sigma)
    return Perturbation(
        objective,
        objective.size,
        lambda v: sigma * v,
        lambda v: sigma * v,
        name=f"isotropic, σ = {sigma:.3g}",
        sigma=sigma,
    )


def filter_scaled(objective: Objective, ratio: float, *, vectors: bool = True) -> Perturbation:
    """Every row w_f of a weight moves by normal noise with E‖ε_f‖² = ratio² ‖w_f‖².

    A row is what feeds one unit: all but the first axis of a parameter. Parameters with one axis (biases, scales of
    normalisation) have rows of one number; ``vectors=False`` leaves them as they are, as Li et al. do.
    """
    ratio = _positive("the size of a perturbation", ratio)
    scales = []
    for p in objective.parameters:
        if p.dim() <= 1:
            scales.append(p.detach().abs().reshape(-1) * float(vectors))
        else:
            rows = p.detach().flatten(1)
            norms = rows.norm(dim=1, keepdim=True) / math.sqrt(rows.shape[1])
            scales.append(norms.expand_as(rows).reshape(-1))
    return diagonal(objective, ratio * _some(torch.cat(scales)), f"of {ratio:.3g} of each filter's norm")


def element_scaled(objective: Objective, ratio: float) -> Perturbation:
    """Σ = ratio² diag(θ²): every weight is off by that part of itself."""
    ratio = _positive("the size of a perturbation", ratio)
    return diagonal(objective, ratio * _some(objective.theta.abs()), f"of {ratio:.3g} of each weight")


def sgd_noise(objective: Objective, rate: float, batch_size: float) -> Perturbation:
    """Σ = rate · C / batch_size with the covariance C of per-sample gradients (batches drawn with replacement).

    A draw costs one backward pass. Raises ``BadUsage`` where there are no per-sample gradients.
    """
    factor = _positive("a learning rate", rate) / _positive("a batch size", batch_size)
    covariance = GradientCovariance(objective)
    scale = math.sqrt(factor)
    return Perturbation(
        objective,
        covariance.samples,
        lambda z: scale * covariance.root(z),
        lambda v: scale * covariance.transpose(v),
        name=f"noise of SGD, rate {rate:.3g}, batch {batch_size:g}",
    )


def feature_noise(objective: Objective, layer: str, ratio: float = 1.0) -> Perturbation:
    """W ← W (I + ratio·Z) for one weight W [d, …], Z of independent normal numbers: Σ = ratio² (W Wᵀ) ⊗ I.

    ``layer`` is the name of the parameter. The root is that of W Wᵀ, so that there are as many latent numbers as
    weights.
    """
    ratio = _positive("the size of a perturbation", ratio)
    if layer not in objective.names:
        raise BadUsage(
            "no trained parameter has this name", seen=layer, remedy="known: " + ", ".join(objective.names)
        )
    place = objective.names.index(layer)
    weight = objective.parameters[place].detach()
    if weight.dim() < 2:
        raise BadUsage("the weight of a layer has at least two axes", seen=f"{layer} {tuple(weight.shape)}")
    start = sum(p.numel() for p in objective.parameters[:place])
    rows = weight.flatten(1).double()
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    half = (ratio * (vectors * values.clamp_min(0).sqrt()) @ vectors.T).to(weight)
    stop, shape = start + weight.numel(), rows.shape

    def root(z: Tensor) -> Tensor:
        whole = z.new_zeros(objective.size, z.shape[1])
        whole[start:stop] = (half @ z.reshape(shape[0], -1)).reshape(stop - start, -1)
        return whole

    def transpose(v: Tensor) -> Tensor:
        return (half @ v[start:stop].reshape(shape[0], -1)).reshape(stop - start, -1)

    return Perturbation(objective, stop - start, root, transpose, name=f"features of {layer}")


def _positive(what: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise BadUsage(f"{what} is a positive number", seen=str(value))
    return float(value)


def _some(scale: Tensor) -> Tensor:
    if not bool((scale > 0).any()):
        raise BadUsage(
            "nothing is perturbed: all parameters that noise would be in proportion to are 0", seen="0"
        )
    return scale
