"""Which loss got which form of the predictions: real scripts, wrong and right."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
x = torch.randn(256, 8)
y = (x @ torch.randn(8, 5)).argmax(1)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 5))
optimizer = torch.optim.Adam(model.parameters(), 3e-3)
for step in range(60):
    rows = torch.randint(0, 256, (64,))
    z, b = model(x[rows]), y[rows]
    t, s, one = F.one_hot(b, 5).float(), z[:, 0], (b > 1).float()
    loss = LOSS
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def told(loss, folder):
    return complaints(verdict_of(folder, SCRIPT.replace("LOSS", loss)))


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    "loss",
    [
        "F.nll_loss(F.log_softmax(z, 0), b)",
        "F.nll_loss(torch.log(torch.softmax(z, 0)), b)",
        "-(t * F.log_softmax(z, 0)).sum(1).mean()",
        "F.mse_loss(torch.softmax(z, 0), t)",
        "F.binary_cross_entropy(torch.softmax(z, 0), t)",
        "F.kl_div(F.log_softmax(z, 0), t, reduction='batchmean')",
        "F.nll_loss(F.log_softmax(z.view(8, 8, 5), 1).view(64, 5), b)",
        "F.nll_loss(F.log_softmax(z.view(8, 8, 5), 1).transpose(1, 2), b.view(8, 8))",
        "F.binary_cross_entropy(torch.softmax(s[:, None], 1), one[:, None])",
        "F.mse_loss(torch.softmax(s[:, None], 1)[:, 0], one)",
    ],
)
def test_a_softmax_over_another_axis_than_the_classes(loss, tmp_path):
    assert told(loss, tmp_path)[0] == "wrong-softmax-dimension"


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    "loss",
    [
        "F.nll_loss(z, b)",
        "F.nll_loss(torch.softmax(z, 1), b)",
        "F.binary_cross_entropy(s.clamp(1e-7, 1 - 1e-7), one)",
        "-(one * s.clamp(min=1e-7).log() + (1 - one) * (1 - s).clamp(min=1e-7).log()).mean()",
        "F.kl_div(torch.softmax(z, 1), torch.softmax(3 * t, 1), reduction='batchmean')",
        "F.kl_div(z, torch.softmax(3 * t, 1), reduction='batchmean')",
        "-(t * z.clamp(min=1e-7).log()).sum(1).mean()",
        "-z[torch.arange(64), b].clamp(min=1e-6).log().mean()",
    ],
)
def test_scores_where_a_loss_takes_probabilities_or_their_logarithms(loss, tmp_path):
    assert told(loss, tmp_path)[0] == "missing-activation"


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    "loss",
    [
        "F.nll_loss(F.log_softmax(z, 1), b)",
        "F.nll_loss(z - z.logsumexp(1, keepdim=True), b)",
        "F.nll_loss(torch.log(torch.softmax(z, 1) + 1e-6), b)",
        "F.nll_loss(F.log_softmax(z.view(8, 8, 5), -1).view(64, 5), b)",
        "F.nll_loss(F.log_softmax(z.view(8, 8, 5), 2).transpose(1, 2), b.view(8, 8))",
        "F.kl_div(F.log_softmax(z, 1), torch.softmax(3 * t, 1), reduction='batchmean')",
        "F.mse_loss(torch.softmax(z, 1), t)",
        "F.binary_cross_entropy(torch.sigmoid(s), one)",
        "F.binary_cross_entropy(torch.softmax(z, 1)[:, 0], one)",
        "F.binary_cross_entropy((torch.softmax(z, 1) @ torch.eye(5))[:, 0].clamp(0, 1), one)",
        "F.mse_loss(torch.log((z + 9).clamp(min=1)), torch.log(t + 9))",
        "((z.log_softmax(0) * torch.softmax(3 * t, 0)).sum(0).neg()).mean()",
        "-(torch.eye(64) * F.log_softmax(z @ z.T, 0)).sum(0).mean()",
        "F.logsigmoid(-z).neg().mean() - (t * z).mean()",
    ],
)
def test_the_right_form_however_it_is_written(loss, tmp_path):
    assert set(told(loss, tmp_path)).isdisjoint({"wrong-softmax-dimension", "missing-activation"})
