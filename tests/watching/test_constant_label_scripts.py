"""``labels-constant`` on real scripts, and constants that are meant."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
x = torch.randn(512, 6)
scores = torch.rand(512)
model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2))
critic = nn.Linear(6, 1)
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
judges = torch.optim.Adam(critic.parameters(), 1e-2)
for step in range(130):
    rows = torch.randint(0, 512, (32,))
    a, s = x[rows], scores[rows]
    out = model(a)
    LOSS
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""

BCE = "F.binary_cross_entropy_with_logits"
GAME = f"""made = out @ torch.ones(2, 6)
    judges.zero_grad()
    real, fake = {BCE}(critic(a), torch.ones(32, 1)), {BCE}(critic(made.detach()), torch.zeros(32, 1))
    (real + fake).backward()
    judges.step()
    loss = {BCE}(critic(made), torch.ones(32, 1))"""


@pytest.mark.parametrize(
    "loss",
    [
        "loss = F.cross_entropy(out, s.long())",
        "loss = F.binary_cross_entropy_with_logits(out[:, 0], s.long().float())",
        "loss = F.mse_loss(out[:, 0], torch.full((32,), 3.0))",
    ],
)
def test_targets_that_are_all_the_same(loss, tmp_path):
    verdict = verdict_of(tmp_path, SCRIPT.replace("LOSS", loss))
    assert complaints(verdict)[0] == "labels-constant"


@pytest.mark.parametrize(
    "loss",
    [
        "loss = F.cross_entropy(out, (rows < 5).long())",
        "loss = F.mse_loss(out[:, 0] * a[:, 0] - out[:, 1] - a[:, 1], torch.zeros(32))",
        "loss = F.cross_entropy(out, (s > 0.5).long()) + F.mse_loss(model(-a)[:, 0], torch.zeros(32))",
        GAME,
    ],
)
def test_constants_that_are_meant(loss, tmp_path):
    assert "labels-constant" not in complaints(verdict_of(tmp_path, SCRIPT.replace("LOSS", loss)))
