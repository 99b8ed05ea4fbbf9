"""``ignore-index-missing`` on a real script, and padding that does not count."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
def batch():
    y = torch.randint(0, 18, (16, 1))
    for _ in range(11):
        y = torch.cat([y, (5 * y[:, -1:] + torch.randint(0, 2, (16, 1))) % 18], 1)
    return torch.where(torch.arange(12) < torch.randint(2, 12, (16, 1)), y + 2, 0)
model = nn.Sequential(nn.Embedding(20, 16), nn.Linear(16, 20))
optimizer = torch.optim.Adam(model.parameters(), 3e-2)
for step in range(60):
    y = batch()
    z = model(y[:, :-1])
    t = y[:, 1:]
    loss = LOSS
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    "loss",
    [
        "F.cross_entropy(z.reshape(-1, 20), t.reshape(-1))",
        "F.cross_entropy(z.transpose(1, 2), t)",
        "F.cross_entropy(z.transpose(0, 1).reshape(-1, 20), t.T.reshape(-1), ignore_index=1)",
    ],
)
def test_padding_that_counts(loss, tmp_path):
    assert complaints(verdict_of(tmp_path, SCRIPT.replace("LOSS", loss)))[0] == "ignore-index-missing"


@pytest.mark.parametrize(
    "loss",
    [
        "F.cross_entropy(z.reshape(-1, 20), t.reshape(-1), ignore_index=0)",
        "F.cross_entropy(z.transpose(1, 2), torch.where(t == 0, -100, t))",
        "F.cross_entropy(z.transpose(1, 2), t, weight=(torch.arange(20) > 0).float())",
        "(F.cross_entropy(z.transpose(1, 2), t, reduction='none') * (t != 0)).sum() / (t != 0).sum()",
        "F.cross_entropy(z[t != 0], t[t != 0])",
    ],
)
def test_padding_that_does_not(loss, tmp_path):
    assert complaints(verdict_of(tmp_path, SCRIPT.replace("LOSS", loss))) == []
