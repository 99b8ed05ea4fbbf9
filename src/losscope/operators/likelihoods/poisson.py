"""Poisson: counts with the logarithm of their rate, or the rate itself, as prediction.

In ln λ the score is s = λ - y with E s² = λ; in λ it is 1 - y/λ with E s² = 1/λ.
"""

import torch
from torch import Tensor

from losscope.operators.likelihood import Likelihood, Rows, View
from losscope.operators.likelihoods.elements import Elements, ratio


def _read(view: View) -> Rows | None:
    (f,), (slope,) = view.predictions, view.slopes
    (curvature,) = view.curve([torch.ones_like(f)])
    of_logarithm = view.term.options.get("log_input", True)
    rate = f.exp() if of_logarithm else f
    mass = ratio(curvature, rate, slope.abs()) if of_logarithm else slope + rate * curvature
    if bool((rate < 0).any()) or bool((mass < -view.tolerance * float(mass.abs().max())).any()):
        return None
    mass = mass.clamp_min(0)
    unit = torch.ones_like(rate) if of_logarithm else rate.clamp_min(torch.finfo(rate.dtype).tiny)

    def draw(generator: torch.Generator) -> list[Tensor]:
        return [mass.sqrt() * (rate - torch.poisson(rate, generator=generator)) / unit]

    return Elements([slope], mass, [mass * rate / unit.square()], draw)


LIKELIHOOD = Likelihood(("poisson_nll",), _read)
