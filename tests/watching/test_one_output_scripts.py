"""``loss-task-mismatch``: cross-entropy of a single output, in the ways in which it is written."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
x = torch.randn(256, 8)
y = (x.sum(1) > 0).long()
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, COLUMNS))
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
for step in range(60):
    rows = torch.randint(0, 256, (64,))
    z, b = model(x[rows]), y[rows]
    loss = LOSS
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    "loss",
    [
        "F.cross_entropy(z, torch.zeros_like(b))",
        "F.cross_entropy(z, b[:, None].float())",
        "F.nll_loss(F.log_softmax(z, 1), 0 * b)",
    ],
)
def test_cross_entropy_of_one_output(loss, tmp_path):
    verdict = verdict_of(tmp_path, SCRIPT.replace("LOSS", loss).replace("COLUMNS", "1"))
    assert complaints(verdict)[0] == "loss-task-mismatch"


@pytest.mark.parametrize(
    ("loss", "columns"),
    [
        ("F.cross_entropy(z, b)", "2"),
        ("F.binary_cross_entropy_with_logits(z[:, 0], b.float())", "1"),
        ("F.cross_entropy(z, F.one_hot(b, 2).float())", "2"),
    ],
)
def test_outputs_that_suit_the_loss(loss, columns, tmp_path):
    assert complaints(verdict_of(tmp_path, SCRIPT.replace("LOSS", loss).replace("COLUMNS", columns))) == []


@pytest.mark.parametrize(
    ("loss", "columns", "expected"),
    [
        ("F.cross_entropy(z[:, 0], x[rows].sum(1))", "1", ("loss-task-mismatch", "error")),
        ("F.cross_entropy(z, (x[rows, :3] > 0).float())", "3", ("loss-task-mismatch", "warning")),
        ("-(F.log_softmax(z, 1) * (x[rows, :3] > 0)).sum(1).mean()", "3", None),
    ],
)
def test_targets_that_are_no_probabilities_of_classes(loss, columns, expected, tmp_path):
    verdict = verdict_of(tmp_path, SCRIPT.replace("LOSS", loss).replace("COLUMNS", columns))
    found = [(f.code, f.severity) for f in verdict.findings if f.code == "loss-task-mismatch"]
    assert found == ([expected] if expected else [])
