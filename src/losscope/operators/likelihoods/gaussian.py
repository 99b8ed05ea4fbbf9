"""Gaussian: squared error, and the Gaussian likelihood with a variance that is given or predicted.

(f - t)² is -ln p of variance ½, up to a constant. With fixed variance E s² is the curvature of the loss, m/v. A
predicted variance v(ρ), in whatever form ρ the model gives it, has s_ρ = ½h(1 - r²/v) with h = v'(ρ)/v, so that
E s_ρ² = ½h² and E s_μ s_ρ = 0. Mean and variance must be two tensors of the model's output, in this order.
"""

import torch
from torch import Tensor

from losscope.operators.likelihood import Likelihood, Rows, View
from losscope.operators.likelihoods.elements import Elements, normal, ratio


def _mean(view: View) -> Rows | None:
    (slope,) = view.slopes
    (curvature,) = view.curve([torch.ones_like(slope)])
    if bool((curvature < 0).any()) or not _quadratic(view, curvature):
        return None
    root = curvature.sqrt()
    return Elements([slope], curvature, [curvature], lambda generator: [root * normal(root, generator)])


def _quadratic(view: View, curvature: Tensor) -> bool:
    """Whether every element of the slope depends on its own element of the prediction alone."""
    signs = torch.ones(curvature.numel(), dtype=curvature.dtype, device=curvature.device)
    signs[1::2] = -1
    signs = signs.view(curvature.shape)
    return view.agrees(view.curve([signs]), [signs * curvature])


def _both(view: View) -> Rows | None:
    """h and m from derivatives: ∂²ℓ/∂μ∂ρ = -h ∂ℓ/∂μ, and ∂ℓ/∂ρ = ½h (m - (∂ℓ/∂μ)² / (∂²ℓ/∂μ²))."""
    mean, spread = view.slopes
    curvature, cross = view.curve([torch.ones_like(mean), torch.zeros_like(mean)])
    if bool((curvature <= 0).any()) or not bool(cross.any()):
        return None
    h = ratio(-cross, mean, torch.zeros_like(mean))
    mass = ratio(2 * spread, h, torch.zeros_like(mean)) + mean.square() / curvature
    if bool((mass < -view.tolerance * float(mass.abs().max())).any()):
        return None
    mass = mass.clamp_min(0)
    fisher = [curvature, 0.5 * h.square() * mass]

    def draw(generator: torch.Generator) -> list[Tensor]:
        e = normal(mean, generator)
        return [curvature.sqrt() * e, 0.5 * mass.sqrt() * h * (1 - e.square())]

    return Elements([mean, spread], mass, fisher, draw)


def _read(view: View) -> Rows | None:
    return _both(view) if len(view.predictions) == 2 else _mean(view)


LIKELIHOOD = Likelihood(("gaussian_nll", "mse"), _read, tensors=2)
