"""How far a network of finite width is from its infinitely wide limit: the error of its tangent kernel.

For random ReLU networks of width m in the tangent-kernel parametrisation, ‖Θ_m - Θ‖_F / ‖Θ‖_F falls as m^(-½) (Jacot,
Gabriel and Hongler, 2018, arXiv:1806.07572, theorem 1; the rate: Arora et al., 2019, arXiv:1904.11955, theorem 3.1).
"""

import html
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losscope.core.errors import BadUsage
from losscope.kernels.functions.arc_cosine import ReLUNTK
from losscope.kernels.functions.empirical_ntk import EmpiricalNTK
from losscope.kernels.functions.kernel import points
from losscope.objective.objective import Objective

__all__ = ["FiniteWidth", "finite_width", "relu_network"]


class _Scaled(nn.Module):
    """x ↦ c x + b, with a trained standard normal vector behind b = σ_b·bias."""

    def __init__(self, factor: float, outputs: int, bias: float) -> None:
        super().__init__()
        self.factor, self.scale = factor, bias
        self.bias = nn.Parameter(torch.randn(outputs, dtype=torch.float64)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.factor * x
        return x if self.bias is None else x + self.scale * self.bias


def relu_network(
    inputs: int,
    width: int,
    depth: int = 1,
    outputs: int = 1,
    *,
    weight_variance: float = 2.0,
    bias_variance: float = 0.0,
    seed: int = 0,
) -> nn.Sequential:
    """A random network in the tangent-kernel parametrisation, whose kernel tends to ``ReLUNTK`` as width grows.

    ``depth`` hidden layers h ↦ ReLU(σ_w/√(fan in) W h + σ_b b) with standard normal W and b from ``seed``; float64.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        layers: list[nn.Module] = []
        sizes = [inputs, *[width] * depth, outputs]
        for number, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            linear = nn.Linear(fan_in, fan_out, bias=False, dtype=torch.float64)
            nn.init.normal_(linear.weight)
            layers += [
                linear,
                _Scaled(math.sqrt(weight_variance / fan_in), fan_out, math.sqrt(bias_variance)),
            ]
            if number < depth:
                layers.append(nn.ReLU())
    return nn.Sequential(*layers)


@dataclass(frozen=True, slots=True, repr=False)
class FiniteWidth:
    """``errors`` [widths, seeds] of the tangent kernel; ``slope`` ± ``stderr`` of ln error in ln width (-½)."""

    widths: tuple[int, ...]
    errors: tuple[tuple[float, ...], ...]
    slope: float
    stderr: float

    def __repr__(self) -> str:
        means = ", ".join(
            f"{w}: {sum(e) / len(e):.3g}" for w, e in zip(self.widths, self.errors, strict=True)
        )
        return f"<FiniteWidth {means}; error ∝ width^({self.slope:.3f} ± {self.stderr:.3f})>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def finite_width(
    inputs: Any,
    widths: Sequence[int],
    *,
    depth: int = 1,
    weight_variance: float = 2.0,
    bias_variance: float = 0.0,
    seeds: int = 5,
) -> FiniteWidth:
    """Errors of the tangent kernels of random ReLU networks on ``inputs`` [n, d], and their rate by regression.

    Cost: one tangent kernel for each width and seed.
    """
    if len(set(widths)) < 2 or min(widths) < 1 or seeds < 2:
        raise BadUsage(
            "a rate needs at least two widths from 1, and two seeds", seen=f"{list(widths)}, seeds={seeds}"
        )
    x = points(inputs)
    limit = ReLUNTK(depth, weight_variance, bias_variance)(x)
    errors = []
    for width in widths:
        row = []
        for seed in range(seeds):
            network = relu_network(
                x.shape[1],
                width,
                depth,
                weight_variance=weight_variance,
                bias_variance=bias_variance,
                seed=seed,
            )
            objective = Objective(
                network.to(x.device), nn.functional.mse_loss, (x, torch.zeros(len(x), 1).to(x))
            )
            row.append(float((EmpiricalNTK(objective)() - limit).norm() / limit.norm()))
        errors.append(tuple(row))
    across = np.repeat(np.log(np.asarray(widths, dtype=float)), seeds)
    heights = np.log(np.asarray(errors)).reshape(-1)
    centred = across - across.mean()
    slope = float(centred @ heights / (centred @ centred))
    rest = heights - heights.mean() - slope * centred
    stderr = float(np.sqrt(rest @ rest / (len(rest) - 2) / (centred @ centred)))
    return FiniteWidth(tuple(int(w) for w in widths), tuple(errors), slope, stderr)
