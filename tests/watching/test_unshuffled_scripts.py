"""``data-not-shuffled`` on real scripts, and orders that are meant."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
from torch.utils.data import DataLoader, TensorDataset
x = torch.randn(600, 6)
y = (x @ torch.randn(6, 3)).argmax(1)
BEFORE
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
LOOP
    loss = F.cross_entropy(model(a), b)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
SORT = "order = y.argsort(); x, y = x[order], y[order]"
LOADER = """for a, b in (p for _ in range(4) for p in DataLoader(TensorDataset(x, y), 20SHUFFLE)):"""
BY_HAND = "for a, b in ((x[i:i + 20], y[i:i + 20]) for _ in range(4) for i in range(0, 600, 20)):"
TASKS = """for a, b in ((x[r], y[r]) for i in (0, 200, 400) for _ in range(40)
    for r in [i + torch.randint(0, 200, (20,))]):"""


def script(loop, before=SORT):
    return SCRIPT.replace("BEFORE", before).replace("LOOP", loop)


@pytest.mark.parametrize("loop", [LOADER.replace("SHUFFLE", ""), BY_HAND])
def test_sorted_data(loop, tmp_path):
    verdict = verdict_of(tmp_path, script(loop))
    assert complaints(verdict)[0] == "data-not-shuffled"


@pytest.mark.parametrize(
    "healthy",
    [
        script(LOADER.replace("SHUFFLE", ", shuffle=True")),
        script(LOADER.replace("SHUFFLE", ""), before=""),
        script(TASKS),
        script(BY_HAND, before="y = x[:, :3].cumsum(0)[:, 0].softmax(0)").replace(
            "F.cross_entropy(model(a), b)", "F.mse_loss(model(a)[:, 0], 100 * b)"
        ),
    ],
)
def test_orders_that_do_no_harm(healthy, tmp_path):
    assert "data-not-shuffled" not in complaints(verdict_of(tmp_path, healthy))
