"""``labels-unrelated`` on real scripts; step sizes and dead units leave a loss at chance as well."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
x = torch.randn(20000, 10)
y = (x @ torch.randn(10, 4)).argmax(1)
BEFORE
model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.RULE
for step in range(140):
    rows = torch.randint(0, 20000, (128,))
    loss = F.cross_entropy(model(x[rows]), y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
ADAM = "Adam(model.parameters(), 3e-3)"


def script(before="", rule=ADAM, **changes):
    text = SCRIPT.replace("BEFORE", before).replace("RULE", rule)
    for old, new in changes.items():
        text = text.replace(*{"loss": ("F.cross_entropy(model(x[rows]), y[rows])", new)}[old])
    return text


@pytest.mark.parametrize(
    "broken",
    [
        script("x = x[torch.randperm(20000)]"),
        script("y = y.sort().values", rule="SGD(model.parameters(), 0.1, momentum=0.9)"),
        script(
            "t = (x[:, 0] + x[:, 1])[torch.randperm(20000)]", loss="F.mse_loss(model(x[rows])[:, 0], t[rows])"
        ),
    ],
)
def test_labels_that_do_not_belong_to_their_inputs(broken, tmp_path):
    assert complaints(verdict_of(tmp_path, broken))[0] == "labels-unrelated"


@pytest.mark.parametrize(
    "other",
    [
        script(),
        script(rule="SGD(model.parameters(), 1e-5)"),
        script("x = 0 * x"),
        script("", rule="SGD(model.parameters(), 0.01)", loss="F.mse_loss(model(x[rows])[:, 0], x[rows, 0])"),
    ],
)
def test_other_reasons_to_be_at_chance(other, tmp_path):
    assert "labels-unrelated" not in complaints(verdict_of(tmp_path, other))
