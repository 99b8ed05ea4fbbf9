"""``penalty-dominates`` on real scripts, and regularisers that leave the data their say."""

import pytest
from script_verdicts import complaints, verdict_of

CLASSES = """
x = torch.randn(256, 8)
y = (x @ torch.randn(8, 5)).argmax(1)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 5))
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
for step in range(160):
    rows = torch.randint(0, 256, (64,))
    loss = F.cross_entropy(model(x[rows]), LABELS)
    loss = loss + PENALTY
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("penalty", "severity"),
    [
        ("0.2 * sum(p.abs().sum() for p in model.parameters())", "error"),
        ("0.1 * sum(p.pow(2).sum() for p in model.parameters())", "warning"),
    ],
)
def test_a_penalty_that_rules(penalty, severity, tmp_path):
    verdict = verdict_of(tmp_path, CLASSES.replace("PENALTY", penalty).replace("LABELS", "y[rows]"))
    assert (verdict.findings[0].code, verdict.findings[0].severity) == ("penalty-dominates", severity)


@pytest.mark.parametrize("labels", ["y[rows]", "torch.randint(0, 5, (64,))"])
def test_a_penalty_beside_the_data(labels, tmp_path):
    penalty = "1e-2 * sum(p.pow(2).sum() for p in model.parameters())"
    verdict = verdict_of(tmp_path, CLASSES.replace("PENALTY", penalty).replace("LABELS", labels))
    assert "penalty-dominates" not in complaints(verdict)
