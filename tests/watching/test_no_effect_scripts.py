"""``input-has-no-effect`` on real scripts, and constant predictions that are no fault."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
x = torch.randn(1024, 6)
y = (x @ torch.randn(6, 3)).argmax(1)
BEFORE
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
CHANGE
optimizer = torch.optim.SGD(model.parameters(), 0.05)
for step in range(110):
    rows = torch.randint(0, 1024, (32,))
    loss = F.cross_entropy(model(x[rows]), y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def script(before="", change=""):
    return SCRIPT.replace("BEFORE", before).replace("CHANGE", change)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (script("x = (x / 255).long().float()"), "all samples of a batch are the same"),
        (script("x = x[:1].expand(1024, 6)"), "all samples of a batch are the same"),
        (script(change="model[0].bias.data.fill_(-100.)"), "what reaches this layer is all zero"),
    ],
)
def test_nothing_of_the_input_arrives(broken, said, tmp_path):
    verdict = verdict_of(tmp_path, broken)
    (found,) = (f for f in verdict.findings if f.code == "input-has-no-effect")
    assert complaints(verdict)[0] == (found.because_of or found.code)
    assert found.because_of in (None, "dead-units")
    assert (found.because_of is None) == ("bias" not in broken)
    assert any(said in str(e.text) for e in found.evidence)


@pytest.mark.parametrize(
    "healthy",
    [
        script(change="nn.init.zeros_(model[2].weight)"),
        script().replace("(32,)", "(1,)"),
        "mu = nn.Parameter(torch.zeros(1))\noptimizer = torch.optim.Adam([mu], 0.1)\nfor step in range(60):\n"
        "    y = 2 + torch.randn(64)\n    loss = F.mse_loss(mu.expand(64), y)\n    optimizer.zero_grad()\n"
        "    loss.backward()\n    optimizer.step()\n",
    ],
)
def test_constant_predictions_that_are_no_fault(healthy, tmp_path):
    assert "input-has-no-effect" not in complaints(verdict_of(tmp_path, healthy))
