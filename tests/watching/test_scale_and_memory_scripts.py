"""``target-scale`` and ``memorising`` on real scripts, and large targets and small data that are learnt."""

import pytest
from script_verdicts import complaints, verdict_of

PRICES = """
x = torch.randn(512, 6)
y = SCALE
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.RULE
for step in range(220):
    rows = torch.randint(0, 512, (64,))
    loss = F.mse_loss(model(x[rows])[:, 0], y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
HOUSES = "2e5 + 5e4 * (x[:, 0] + x[:, 1])"


def prices(scale=HOUSES, rule="Adam(model.parameters(), 1e-3)"):
    return PRICES.replace("SCALE", scale).replace("RULE", rule)


@pytest.mark.parametrize("script", [prices(), prices(rule="SGD(model.parameters(), 0.01)")])
def test_targets_that_are_never_reached(script, tmp_path):
    assert complaints(verdict_of(tmp_path, script))[0] == "target-scale"


@pytest.mark.parametrize(
    "script",
    [
        prices("x[:, 0] + x[:, 1]", "Adam(model.parameters(), 1e-2)"),
        prices("30 * (x[:, 0] + x[:, 1])", "Adam(model.parameters(), 0.1)"),
        prices("x[:, 0] + x[:, 1]", "SGD(model.parameters(), 1e-6)"),
    ],
)
def test_targets_that_are_no_trouble(script, tmp_path):
    assert "target-scale" not in complaints(verdict_of(tmp_path, script))


FEW = """
x, held = torch.randn(64, 20), torch.randn(200, 20)
w = torch.randn(20, 4)
y, truth = (x @ w).argmax(1), (held @ w).argmax(1)
LABELS
model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 4))
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
for epoch in range(30):
    for rows in torch.randperm(64).split(16):
        loss = F.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        F.cross_entropy(model(held), truth)
"""


@pytest.mark.parametrize(("labels", "expected"), [("y = torch.randint(0, 4, (64,))", True), ("", False)])
def test_what_is_learnt_by_heart(labels, expected, tmp_path):
    found = complaints(verdict_of(tmp_path, FEW.replace("LABELS", labels)))
    assert ("memorising" in found[:1]) == expected
