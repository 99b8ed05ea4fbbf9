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
AUTOENCODER = """
x = torch.randn(256, 2) @ torch.randn(2, 10)
encode, decode = nn.Linear(10, 4), nn.Linear(2, 10)
optimizer = torch.optim.Adam([*encode.parameters(), *decode.parameters()], 2e-2)
for step in range(200):
    b = x[torch.randint(0, 256, (64,))]
    mu, logvar = encode(b).chunk(2, 1)
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    r = decode(mu + torch.randn_like(mu) * (0.5 * logvar).exp())
    loss = LOSS
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


@pytest.mark.parametrize(
    ("penalty", "labels", "expected"),
    [
        ("1e-2 * sum(p.pow(2).sum() for p in model.parameters())", "y[rows]", []),
        (
            "1e-2 * sum(p.pow(2).sum() for p in model.parameters())",
            "torch.randint(0, 5, (64,))",
            ["loss-at-chance"],
        ),
    ],
)
def test_a_penalty_beside_the_data(penalty, labels, expected, tmp_path):
    verdict = verdict_of(tmp_path, CLASSES.replace("PENALTY", penalty).replace("LABELS", labels))
    assert complaints(verdict) == expected


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("F.mse_loss(r, b) + kl", ["penalty-dominates"]),
        ("(F.mse_loss(r, b, reduction='sum') + kl) / 64", []),
    ],
)
def test_an_autoencoder(loss, expected, tmp_path):
    assert complaints(verdict_of(tmp_path, AUTOENCODER.replace("LOSS", loss))) == expected
