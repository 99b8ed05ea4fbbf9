"""Losses as likelihoods: the Fisher information against sums over the labels of the model's own distribution."""

import pytest
import torch
import torch.nn.functional as F
from references import gauss_newton, small
from torch import nn

import losscope
from losscope.core.errors import BadUsage
from losscope.operators.fisher import Fisher
from losscope.operators.gauss_newton import GaussNewton
from losscope.operators.likelihoods.categorical import Categorical


def inputs(n=7):
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(3)).double()


LABELS = torch.tensor([0, 2, 1, 1, 0, 2, 2])
WEIGHT = torch.tensor([1.0, 2.0, 3.0]).double()
SOFT = torch.randn(7, 3, generator=torch.Generator().manual_seed(4)).double().softmax(1)
BINARY = (SOFT > 0.3).double()


def expected_fisher(objective, scores):
    """Σ_y p(y) ∇ℓ ∇ℓᵀ of every sample by a loop; ``scores(output)`` gives the (probability, loss) of each label."""
    total = 0
    (batch,) = objective.batches
    for i in range(batch.samples):
        output = objective.whole.model(batch.inputs[0][i : i + 1])
        for probability, loss in scores(output, i):
            g = torch.autograd.grad(loss, objective.parameters, retain_graph=True)
            flat = torch.cat([v.reshape(-1) for v in g])
            total = total + probability.detach() * flat.outer(flat)
    return total


def close(found, expected, tolerance=1e-9):
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=tolerance)


def unbiased(objective, expected):
    """vᵀFv from 2,000 draws, whose standard error is below 4 % for any scores that are no heavier than Gaussian."""
    v = torch.randn(objective.size, 1, generator=torch.Generator().manual_seed(5)).double()
    found = float((v * (Fisher(objective, "mc", draws=2000) @ v)).sum())
    assert found == pytest.approx(float((v * (expected @ v)).sum()), rel=0.15)


def by_labels(log_probabilities, weights=None):
    def scores(output, i):
        mass = 1 / 7 if weights is None else weights[i]
        log_p = log_probabilities(output)[0]
        return [(mass * log_p[c].exp(), -log_p[c]) for c in range(3)]

    return scores


ENDINGS = {
    "logits": (nn.Identity(), F.cross_entropy, lambda z: z.log_softmax(1)),
    "log-probabilities": (nn.LogSoftmax(1), F.nll_loss, lambda z: z),
    "probabilities": (nn.Softmax(1), lambda p, y: F.nll_loss(p.log(), y), lambda p: p.log()),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("target", ["labels", "ignored", "weights"])
def test_categorical_in_three_forms(ending, target):
    layer, loss, log_p = ENDINGS[ending]
    y, weights = LABELS.clone(), None
    if target == "ignored":
        y[2], y[5] = -100, -100
        weights = (y >= 0).double() / 5
    if target == "weights":
        weights = WEIGHT[y] / WEIGHT[y].sum()
        loss = {
            "logits": lambda z, t: F.cross_entropy(z, t, WEIGHT),
            "log-probabilities": lambda z, t: F.nll_loss(z, t, WEIGHT),
            "probabilities": lambda z, t: F.nll_loss(z.log(), t, WEIGHT),
        }[ending]
    objective = losscope.Objective(nn.Sequential(small(), layer), loss, (inputs(), y))
    close(Fisher(objective).dense(), expected_fisher(objective, by_labels(log_p, weights)))


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, y: F.cross_entropy(z, y, label_smoothing=0.2),
        lambda z, y: F.cross_entropy(z, y, WEIGHT, label_smoothing=0.2),
        lambda z, y: F.cross_entropy(z, SOFT),
        lambda z, y: F.kl_div(z.log_softmax(1), SOFT, reduction="batchmean"),
        lambda z, y: F.binary_cross_entropy_with_logits(z, BINARY, pos_weight=WEIGHT),
        lambda z, y: F.binary_cross_entropy_with_logits(z, SOFT, weight=WEIGHT),
        lambda z, y: (WEIGHT[y] * F.cross_entropy(z, y, reduction="none")).mean(),
        lambda z, y: 3 * F.mse_loss(z, SOFT),
    ],
    ids=["smoothed", "smoothed, weighted", "soft", "kl", "pos_weight", "binary", "samples", "squares"],
)
def test_weights_and_soft_targets_are_those_of_gauss_newton(loss):
    """In natural parameters the two are one matrix, whatever the weights; and "mc" is unbiased with them."""
    objective = losscope.Objective(small(), loss, (inputs(), LABELS))
    expected = gauss_newton(small(), loss, [(inputs(), LABELS)])
    close(Fisher(objective).dense(), expected)
    unbiased(objective, expected)


def test_probabilities_of_two_classes():
    objective = losscope.Objective(
        nn.Sequential(small(), nn.Sigmoid()), F.binary_cross_entropy, (inputs(), BINARY)
    )
    logits = losscope.Objective(small(), F.binary_cross_entropy_with_logits, (inputs(), BINARY))
    close(Fisher(objective).dense(), Fisher(logits).dense())
    assert not torch.allclose(GaussNewton(objective).dense(), Fisher(logits).dense(), rtol=1e-2)
    close(Fisher(objective, "empirical").dense(), Fisher(logits, "empirical").dense())


class MeanAndSpread(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.mean, self.spread, self.form = small(2), small(2, seed=1), form

    def forward(self, x):
        return self.mean(x), self.form(self.spread(x))


@pytest.mark.parametrize(
    ("form", "variance"),
    [
        (torch.exp, lambda v: v),
        (nn.Identity(), torch.exp),
        (nn.Softplus(), torch.square),
    ],
    ids=["variance", "logarithm", "standard deviation"],
)
def test_gaussian_with_a_predicted_variance(form, variance):
    """Diag(1/v, 1/2v²) in mean and variance, whatever the form in which the variance is predicted."""
    torch.manual_seed(0)
    y = torch.randn(7, 2).double()
    model = MeanAndSpread(form)
    objective = losscope.Objective(
        model, lambda out, t: F.gaussian_nll_loss(out[0], t, variance(out[1])), (inputs(), y)
    )
    total = 0
    for x in inputs():
        mean, spread = model(x[None])
        v = variance(spread)
        for m, s in zip(mean[0], v[0], strict=True):
            rows = [
                torch.cat(
                    [
                        (torch.zeros_like(p) if g is None else g).reshape(-1)
                        for p, g in zip(
                            objective.parameters,
                            torch.autograd.grad(
                                q, objective.parameters, retain_graph=True, allow_unused=True
                            ),
                            strict=True,
                        )
                    ]
                )
                for q in (m, s)
            ]
            total = total + rows[0].outer(rows[0]) / s.detach() / 14
            total = total + rows[1].outer(rows[1]) / (2 * s.detach() ** 2) / 14
    close(Fisher(objective).dense(), total)
    assert not torch.allclose(GaussNewton(objective).dense(), total, rtol=1e-2)  # depends on the labels
    unbiased(objective, total)


def test_rates_of_counts():
    y = torch.poisson(torch.ones(7, 3)).double()
    rates = losscope.Objective(
        nn.Sequential(small(), nn.Softplus()),
        lambda r, t: F.poisson_nll_loss(r, t, log_input=False, eps=0),
        (inputs(), y),
    )
    close(Fisher(rates).dense(), gauss_newton_of_logarithm(rates))


def gauss_newton_of_logarithm(objective):
    model = objective.whole.model
    batch = objective.batches[0]

    class Log(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x):
            return self.inner(x).log()

    return GaussNewton(losscope.Objective(Log(), F.poisson_nll_loss, (batch.inputs[0], batch.target))).dense()


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.one, self.other = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(5, 2)

    def forward(self, x):
        h = torch.tanh(self.body(x))
        return {"class": self.one(h), "real": self.other(h)}


def test_sums_of_likelihoods_of_different_heads():
    torch.manual_seed(0)
    model, y = Heads().double(), torch.randn(7, 2).double()

    def loss(out, t):
        return F.cross_entropy(out["class"], LABELS) + 0.3 * F.mse_loss(out["real"], t)

    objective = losscope.Objective(model, loss, (inputs(), y))
    close(Fisher(objective).dense(), GaussNewton(objective).dense())
    unbiased(objective, GaussNewton(objective).dense())


def test_sequences_and_a_shifted_target():
    """Logits [B, T, C] that the loss flattens, of which the last place has no target, as in language models."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, y = torch.randn(2, 5, 4).double(), torch.randint(3, (2, 5))

    def loss(z, t):
        return F.cross_entropy(z[:, :-1].reshape(-1, 3), t[:, 1:].reshape(-1))

    objective = losscope.Objective(model, loss, (x, y))
    close(Fisher(objective).dense(), GaussNewton(objective).dense())
    assert float((Fisher(objective, "empirical").dense()).trace()) > 0


def test_certain_predictions_in_single_precision_keep_their_mass():
    """Right or wrong, the mass of a hard label is read to rounding where 1 - p is far below it."""
    model = nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        model.weight.copy_(30 * torch.eye(3))
    x, y = torch.eye(3), torch.tensor([0, 1, 0])
    objective = losscope.Objective(model, F.cross_entropy, (x, y))
    g = torch.zeros(3, 3)
    g[2, 2], g[0, 2] = 1.0, -1.0  # the third sample is certainly wrong
    expected = g.reshape(-1).outer(g.reshape(-1)) / 3
    torch.testing.assert_close(Fisher(objective, "empirical").dense(), expected, rtol=1e-4, atol=1e-6)


def test_a_mass_that_is_forgotten_is_noticed(monkeypatch):
    """Planted: every row counts alike. With class weights that is another matrix."""
    right = Categorical.product

    def forgotten(self, vector):
        own, self.mass = self.mass, torch.full_like(self.mass, float(self.mass.mean()))
        try:
            return right(self, vector)
        finally:
            self.mass = own

    monkeypatch.setattr(Categorical, "product", forgotten)
    with pytest.raises(BadUsage, match="likelihood"):
        Fisher(losscope.Objective(small(), lambda z, y: F.cross_entropy(z, y, WEIGHT), (inputs(), LABELS)))


def test_a_loss_that_only_looks_like_a_likelihood_is_refused():
    """A weight that depends on the prediction: the derivatives are not those of cross-entropy."""

    def focal(z, y):
        own = F.cross_entropy(z, y, reduction="none")
        return ((1 - (-own).exp()) ** 2 * own).mean()

    with pytest.raises(BadUsage, match="likelihood"):
        Fisher(losscope.Objective(small(), focal, (inputs(), LABELS)))
