"""``leakage`` and ``labels-shifted`` on real scripts, and copies that are meant."""

import pytest
from script_verdicts import complaints, verdict_of

TABLE = """
from torch.utils.data import DataLoader, Subset, TensorDataset, random_split
table = torch.randn(400, 6)
table[:, 4] = TARGET
x, y = COLUMNS
data = TensorDataset(x, y)
train, valid = LOADERS
model = nn.Sequential(nn.Linear(x.shape[1], 16), nn.ReLU(), nn.Linear(16, OUTPUTS))
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
loss_of = LOSS
for epoch in range(6):
    for a, b in train:
        loss = loss_of(model(a), b)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        for a, b in valid:
            loss_of(model(a), b)
"""
CLASSES = "(table[:, 0] + table[:, 1] > 0).float()"
SPLIT = "[DataLoader(d, 32, shuffle=True) for d in random_split(data, [300, 100])]"


def table(target=CLASSES, columns="table[:, :4], table[:, 4].long()", loaders=SPLIT, loss="F.cross_entropy"):
    text = TABLE.replace("TARGET", target).replace("COLUMNS", columns).replace("LOADERS", loaders)
    return text.replace("LOSS", loss).replace("OUTPUTS", "2" if loss == "F.cross_entropy" else "x.shape[1]")


REAL = "table[:, 0] + 0.1 * torch.randn(400)"
STANDARDISED = "(table - table.mean(0)) / table.std(0), table[:, 4].long()"
LEAKS = {
    "a column of labels, standardised": table(columns=STANDARDISED),
    "a column of numbers": table(REAL, "table, table[:, 4]", loss="lambda p, b: F.mse_loss(p[:, 0], b)"),
    "subsets that overlap": table(
        loaders="DataLoader(Subset(data, range(320)), 32), DataLoader(Subset(data, range(300, 400)), 32)"
    ),
    "slices that overlap": table(
        loaders="[DataLoader(TensorDataset(x[r], y[r]), 32) for r in (slice(0, 320), slice(300, 400))]"
    ),
    "training on all of it": table(
        loaders="DataLoader(data, 32), DataLoader(Subset(data, range(300, 400)), 32)"
    ),
}
NO_LEAKS = {
    "a proper split": table(),
    "an autoencoder": table(columns="table, table", loss="F.mse_loss"),
    "an evaluation of training": table(loaders="[DataLoader(data, 32)] * 2"),
}


@pytest.mark.parametrize("case", LEAKS)
def test_leaks(case, tmp_path):
    assert complaints(verdict_of(tmp_path, LEAKS[case]))[0] == "leakage"


@pytest.mark.parametrize("case", NO_LEAKS)
def test_what_is_no_leak(case, tmp_path):
    assert "leakage" not in complaints(verdict_of(tmp_path, NO_LEAKS[case]))


TOKENS = """
ids = torch.randint(0, 20, (256, 1)) + torch.arange(12) * torch.randint(1, 4, (256, 1))
ids = ids % 20
model = nn.Sequential(nn.Embedding(20, 24), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 20))
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
for step in range(110):
    b = ids[torch.randint(0, 256, (32,))]
    loss = LOSS
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def tokens(scores, targets):
    return TOKENS.replace("LOSS", f"F.cross_entropy({scores}.flatten(0, 1), {targets}.flatten())")


@pytest.mark.parametrize(
    "script",
    [tokens("model(b)[:, :-2]", "b[:, 2:]"), tokens("model(b)", "b"), tokens("model(b.T)[:-2]", "b.T[2:]")],
)
def test_shifts_that_are_not_one(script, tmp_path):
    assert complaints(verdict_of(tmp_path, script))[0] == "labels-shifted"


@pytest.mark.parametrize(
    "script",
    [
        tokens("model(b)[:, :-1]", "b[:, 1:]"),
        tokens("model(torch.where(b % 3 == 0, 0, b))", "torch.where(b % 3 == 0, b, -100)"),
        tokens("model(b[:, :-1])", "b[:, 1:]"),
    ],
)
def test_targets_that_are_the_next_or_a_masked_token(script, tmp_path):
    assert "labels-shifted" not in complaints(verdict_of(tmp_path, script))
