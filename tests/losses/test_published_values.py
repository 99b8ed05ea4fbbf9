"""Losses against figures that others have published, and against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import Tensor

from losscope.losses.classification.brier import brier_loss
from losscope.losses.ranking.hinge import hinge_loss
from losscope.losses.regression.mape import mape_loss
from losscope.losses.regression.msle import msle_loss
from losscope.losses.regression.quantile import quantile_loss
from losscope.losses.regression.tweedie_deviance import tweedie_deviance_loss
from losscope.losses.sequence.transducer import transducer_loss
from losscope.losses.survival.cox import cox_loss

# Freireich et al. 1963, as in Cox 1972: weeks of remission, treated (0: censored) and control.
TREATED = [(6, 1), (6, 1), (6, 1), (6, 0), (7, 1), (9, 0), (10, 1), (10, 0), (11, 0), (13, 1), (16, 1), (17, 0),
           (19, 0), (20, 0), (22, 1), (23, 1), (25, 0), (32, 0), (32, 0), (34, 0), (35, 0)]  # fmt: skip
CONTROL = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
WEEKS = torch.tensor([float(t) for t, _ in TREATED] + [float(t) for t in CONTROL], dtype=torch.float64)
EVENTS = torch.tensor([float(e) for _, e in TREATED] + [1.0] * 21, dtype=torch.float64)
GROUP = torch.tensor([0.0] * 21 + [1.0] * 21, dtype=torch.float64)


@pytest.mark.parametrize(
    ("ties", "null", "fitted", "coefficient"),
    [("breslow", -93.98505, -86.37962, 1.50919), ("efron", -93.18427, -85.00842, 1.57213)],
)
def test_cox_is_the_fit_of_the_leukaemia_data(
    ties: str, null: float, fitted: float, coefficient: float
) -> None:
    """Log partial likelihoods and log hazard ratio that ``coxph`` prints for both methods."""
    beta = torch.zeros((), dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        return cox_loss(beta * GROUP, WEEKS, EVENTS, ties=ties, reduction="sum")  # type: ignore[arg-type]

    assert float(-loss().detach()) == pytest.approx(null, abs=1e-5)
    for _ in range(20):  # Newton's method
        (slope,) = torch.autograd.grad(loss(), beta, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, beta)
        with torch.no_grad():
            beta -= slope / curvature
    assert float(-loss().detach()) == pytest.approx(fitted, abs=1e-5)
    assert float(beta.detach()) == pytest.approx(coefficient, abs=1e-5)


def test_the_transducer_is_the_example_of_its_first_implementation() -> None:
    """awni/transducer and warp-transducer: two frames, labels 1 and 2, cost 4.495666 (scores are taken as they are)."""
    scores = torch.tensor(
        [[[[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.6, 0.1, 0.1], [0.1, 0.1, 0.2, 0.8, 0.1]],
          [[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.2, 0.1, 0.1], [0.7, 0.1, 0.2, 0.1, 0.1]]]]
    )  # fmt: skip
    two = torch.tensor([2])
    assert float(transducer_loss(scores, torch.tensor([[1, 2]]), two, two)) == pytest.approx(
        4.495666, abs=1e-6
    )
    assert abs(float(transducer_loss(scores, torch.tensor([[2, 1]]), two, two)) - 4.495666) > 0.1


RNG = np.random.default_rng(0)
Y, MU = RNG.gamma(2.0, size=60), RNG.gamma(2.0, size=60)
SIDE = np.sign(Y - 2)
P, K = RNG.dirichlet(np.ones(4), size=60), RNG.integers(4, size=60)


def tensor(x: np.ndarray) -> Tensor:
    return torch.as_tensor(x)


AGAINST_SKLEARN = {
    **{
        f"tweedie {p}": (
            lambda p=p: tweedie_deviance_loss(tensor(MU).log(), tensor(Y), power=p),
            lambda p=p: metrics.mean_tweedie_deviance(Y, MU, power=p),  # type: ignore[arg-type]  its stub says int
        )
        for p in (1.0, 1.3, 1.5, 1.9, 2.0)
    },
    "pinball": (
        lambda: quantile_loss(tensor(MU), tensor(Y), quantile=0.9),
        lambda: metrics.mean_pinball_loss(Y, MU, alpha=0.9),
    ),
    "msle": (lambda: msle_loss(tensor(MU), tensor(Y)), lambda: metrics.mean_squared_log_error(Y, MU)),
    "mape": (lambda: mape_loss(tensor(MU), tensor(Y)), lambda: metrics.mean_absolute_percentage_error(Y, MU)),
    "hinge": (lambda: hinge_loss(tensor(MU - 2), tensor(SIDE)), lambda: metrics.hinge_loss(SIDE, MU - 2)),
    "brier": (
        lambda: brier_loss(tensor(P).log(), tensor(K)),
        lambda: metrics.brier_score_loss(K, P, labels=[0, 1, 2, 3]),
    ),
}


@pytest.mark.parametrize("name", AGAINST_SKLEARN)
def test_a_loss_is_that_of_scikit_learn(name: str) -> None:
    ours, theirs = AGAINST_SKLEARN[name]
    assert float(ours()) == pytest.approx(float(theirs()), rel=1e-9)
