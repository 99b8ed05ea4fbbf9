"""``wrong-reduction`` on real scripts, and sums whose learning rate suits them."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
x = torch.randn(256, 8)
y = x @ torch.randn(8, 10)
k = y.argmax(1)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = torch.optim.OPTIMIZER
for step in range(110):
    rows = torch.randint(0, 256, (64,))
    z = model(x[rows])
    loss = LOSS
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
SUM = "F.mse_loss(z, y[rows], reduction='sum')"
AGAIN = "F.cross_entropy(z, k[rows]) / len(rows)"


@pytest.mark.parametrize(
    ("loss", "optimizer"),
    [
        (SUM, "SGD(model.parameters(), 0.1)"),
        (AGAIN, "SGD(model.parameters(), 0.01)"),
        ("-(F.one_hot(k[rows], 10) * F.log_softmax(z, 1)).mean()", "SGD(model.parameters(), 0.005)"),
    ],
)
def test_a_reduction_that_does_not_suit_the_rate(loss, optimizer, tmp_path):
    script = SCRIPT.replace("LOSS", loss).replace("OPTIMIZER", optimizer)
    assert complaints(verdict_of(tmp_path, script))[0] == "wrong-reduction"


@pytest.mark.parametrize(
    ("loss", "optimizer"),
    [
        (SUM, "SGD(model.parameters(), 1e-4)"),
        (SUM, "Adam(model.parameters(), 1e-2)"),
        (AGAIN, "Adam(model.parameters(), 1e-2)"),
        (AGAIN, "SGD(model.parameters(), 8.0)"),
    ],
)
def test_a_reduction_that_suits_it(loss, optimizer, tmp_path):
    script = SCRIPT.replace("LOSS", loss).replace("OPTIMIZER", optimizer)
    assert complaints(verdict_of(tmp_path, script)) == []
