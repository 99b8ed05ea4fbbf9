"""``activation-before-loss`` on real scripts, and activations that can give what is asked for."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
x = torch.randn(256, 8)
y = x @ torch.randn(8)
y, c = (y - y.mean()) / y.std(), (x @ torch.randn(8, 5)).argmax(1)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 5))
optimizer = torch.optim.Adam(model.parameters(), 3e-3)
for step in range(60):
    rows = torch.randint(0, 256, (64,))
    z, b, k = model(x[rows]), y[rows], c[rows]
    s, one = z[:, 0], (b > 0).float()
    loss = LOSS
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    "loss",
    [
        "F.mse_loss(F.relu(s), b)",
        "((torch.sigmoid(s) - b) ** 2).mean()",
        "F.l1_loss(torch.tanh(s), 3 * b)",
        "F.cross_entropy(torch.tanh(z), k)",
        "F.binary_cross_entropy_with_logits(F.relu(s), one)",
        "F.binary_cross_entropy_with_logits(F.log_softmax(z, 1), F.one_hot(k, 5).float())",
    ],
)
def test_a_last_activation_that_bounds_what_is_asked_for(loss, tmp_path):
    assert complaints(verdict_of(tmp_path, SCRIPT.replace("LOSS", loss)))[0] == "activation-before-loss"


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    "loss",
    [
        "F.mse_loss(torch.tanh(s), b.clamp(-1, 1))",
        "F.mse_loss(3 * torch.tanh(s), b)",
        "F.mse_loss(F.relu(s), b.abs() + 0.01 * torch.randn(64))",
        "F.cross_entropy(10 * torch.tanh(z), k)",
        "F.cross_entropy(F.log_softmax(z, 1), k)",
        "F.cross_entropy(F.relu(z), k)",
        "F.binary_cross_entropy_with_logits(s, one)",
    ],
)
def test_activations_that_can_reach_the_targets(loss, tmp_path):
    assert complaints(verdict_of(tmp_path, SCRIPT.replace("LOSS", loss))) == []
