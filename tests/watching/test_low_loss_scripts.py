"""``suspiciously-low-loss`` on real scripts, and losses that are low for good reasons."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
x = torch.randn(256, 8)
t = x @ torch.randn(8, 4)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
for step in range(110):
    rows = torch.randint(0, ROWS, (32,))
    a, b = (model(x[rows] + 0.1 * torch.randn(32, 8)) for _ in range(2))
    loss = LOSS
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def _codes(folder, loss, rows="256"):
    return complaints(verdict_of(folder, SCRIPT.replace("LOSS", loss).replace("ROWS", rows)))


@pytest.mark.parametrize("loss", ["F.mse_loss(a, b)", "F.mse_loss(a, a)"])
def test_nothing_is_asked_of_the_model(loss, tmp_path):
    assert _codes(tmp_path, loss)[0] == "suspiciously-low-loss"


@pytest.mark.parametrize(
    ("loss", "rows"),
    [
        ("F.mse_loss(model(x[rows]), t[rows])", "6"),
        ("F.mse_loss(a, b) + (1 - a.std(0)).relu().mean()", "256"),
    ],
)
def test_losses_that_are_low_for_good_reasons(loss, rows, tmp_path):
    assert "suspiciously-low-loss" not in _codes(tmp_path, loss, rows)
