"""``shape-broadcast`` on real scripts: every way to broadcast by mistake, and tables and broadcasts that are meant."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
x = torch.randn(256, 8)
y = x @ torch.randn(8)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
levels, weights = torch.linspace(-1, 1, 64), torch.rand(64)
for step in range(40):
    rows = torch.randint(0, 256, (64,))
    p, b = model(x[rows]), y[rows]
    loss = LOSS
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
pytestmark = pytest.mark.filterwarnings("ignore:Using a target size")


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    "loss",
    [
        "F.mse_loss(p, b)",
        "F.mse_loss(b, p)",
        "F.mse_loss(p.squeeze(1), b[:, None])",
        "F.l1_loss(p, b)",
        "F.huber_loss(p, b)",
        "((p - b) ** 2).mean()",
        "(b - p).abs().mean()",
        "torch.sqrt((p - b) ** 2 + 1e-6).mean()",
        "F.relu(1 - p * b.sign()).mean()",
        "(F.softplus(p) - (b > 0) * p).mean()",
        "F.poisson_nll_loss(0.1 * p, b.abs())",
        "((p - (b + 0.9 * p.squeeze(1))) ** 2).mean()",
        "((p.view(8, 1, 4, 2) - b.view(8, 4, 2)) ** 2).mean()",
        "((p[:, 0][:, None] - b[None]) ** 2).mean()",
    ],
)
def test_a_table_of_all_pairs_is_the_top_cause(loss, tmp_path):
    verdict = verdict_of(tmp_path, SCRIPT.replace("LOSS", loss))
    assert complaints(verdict)[0] == "shape-broadcast"
    where = verdict.findings[0].where
    assert where is not None and where.line in (15, 17)


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    "loss",
    [
        "F.mse_loss(p.squeeze(1), b)",
        "((p - b[:, None]) ** 2).mean()",
        "((p - 0.5) ** 2).mean()",
        "((p - levels[:32]) ** 2).mean()",
        "((p.expand(64, 3) - b[:, None]) ** 2).mean()",
        "(weights * (p[:, 0] - b) ** 2).mean()",
        "((p - p.T) ** 2).mean() + F.mse_loss(p[:, 0], b)",
        "2 * (p - b).abs().mean() - (p - p.T).abs().mean()",
        "2 * (p - b).abs().mean() - torch.pdist(p).mean()",
        "torch.exp(-((p - p.T) ** 2)).mean() - 2 * torch.exp(-((p - b) ** 2)).mean()",
        "((p[:, 0][:, None] - b[None]) ** 2).mean() + F.softplus(p).mean()",
        "F.softplus(-(p - p.T) * (b[:, None] - b[None]).sign()).mean()",
    ],
)
def test_broadcasts_and_tables_that_are_meant_are_no_complaint(loss, tmp_path):
    assert "shape-broadcast" not in complaints(verdict_of(tmp_path, SCRIPT.replace("LOSS", loss)))
