"""``term-starved`` on real scripts: prices in thousands beside classes, and the same with sizes that fit."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
x = torch.randn(256, 8)
k = (x @ torch.randn(8, 5)).argmax(1)
price = 1000 * (x[:, 0] + x[:, 1])
trunk = nn.Sequential(nn.Linear(8, 32), nn.ReLU())
model = nn.ModuleDict({"trunk": trunk, "classes": nn.Linear(32, 5), "price": nn.Linear(32, 1)})
optimizer = torch.optim.OPTIMIZER
for step in range(200):
    rows = torch.randint(0, 256, (64,))
    hidden = trunk(x[rows])
    z, p = model["classes"](hidden), model["price"](hidden).squeeze(1)
    loss = F.mse_loss(p, price[rows] / SCALE) + WEIGHT * F.cross_entropy(z, k[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("scale", "weight", "optimizer", "starved"),
    [
        ("1", "1", "SGD(model.parameters(), 2e-5)", True),
        ("1000", "1", "SGD(model.parameters(), 0.1)", False),
        ("1000", "1e-3", "SGD(model.parameters(), 0.1)", False),
    ],
)
def test_a_loss_beside_a_much_larger_one(scale, weight, optimizer, starved, tmp_path):
    script = SCRIPT.replace("SCALE", scale).replace("WEIGHT", weight).replace("OPTIMIZER", optimizer)
    assert complaints(verdict_of(tmp_path, script)) == (["term-starved"] if starved else [])
