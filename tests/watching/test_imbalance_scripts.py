"""``class-imbalance`` on real scripts, and imbalanced data that are learnt."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
n = 100000
x = torch.randn(n, 6)
chance = torch.rand(n)
y = (WHICH).long()
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
for step in range(150):
    rows = torch.randint(0, n, (256,))
    loss = LOSS
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
CROSS_ENTROPY = "F.cross_entropy(model(x[rows]), y[rows])"
BINARY = "F.binary_cross_entropy_with_logits(model(x[rows])[:, 0], y[rows].float())"


def script(which, loss):
    return SCRIPT.replace("WHICH", which).replace("LOSS", loss)


@pytest.mark.parametrize("loss", [CROSS_ENTROPY, BINARY])
def test_the_majority_is_all_that_is_predicted(loss, tmp_path):
    """One label in ten; the inputs tell next to nothing (labels-unrelated may be said as well)."""
    text = script("chance < 0.1 + 0.01 * x[:, 0].clamp(-1, 1)", loss).replace("(256,)", "(1024,)")
    verdict = verdict_of(tmp_path, text)
    assert "class-imbalance" in complaints(verdict)


@pytest.mark.parametrize(
    "healthy",
    [
        script("x[:, 0] > 1.6", CROSS_ENTROPY),
        script("x[:, 0] > 1.6", BINARY),
        script("x[:, 0] > 0", CROSS_ENTROPY),
    ],
)
def test_imbalanced_classes_that_are_learnt(healthy, tmp_path):
    assert complaints(verdict_of(tmp_path, healthy)) == []
