"""``target-out-of-range`` on real scripts, and targets that only look odd."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
x = torch.randn(256, 8)
c = (x @ torch.randn(8, 5)).argmax(1)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 5))
optimizer = torch.optim.Adam(model.parameters(), 3e-3)
for step in range(60):
    rows = torch.randint(0, 256, (64,))
    z, k = model(x[rows]), c[rows]
    s, one = z[:, 0], (k > 1).float()
    sign, kept = 2 * one - 1, (torch.arange(64) % 3 > 0).float()
    loss = LOSS
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("F.binary_cross_entropy_with_logits(s, sign)", "(y + 1) / 2"),
        ("F.binary_cross_entropy_with_logits(s, 255 * one)", "255"),
        ("F.binary_cross_entropy_with_logits(s, k.float())", "255"),
        ("F.soft_margin_loss(s, one)", "2 * y - 1"),
        ("F.margin_ranking_loss(s, z[:, 1], one, margin=0.1)", "2 * y - 1"),
        ("-F.log_softmax(z, 1)[torch.arange(64), k - 1].mean()", "last class"),
        ("F.poisson_nll_loss(s, sign)", "real numbers"),
    ],
)
def test_targets_outside_the_domain_of_the_loss(loss, said, tmp_path):
    verdict = verdict_of(tmp_path, SCRIPT.replace("LOSS", loss))
    assert complaints(verdict)[0] == "target-out-of-range"
    assert said in str(verdict.findings[0].remedy)


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    "loss",
    [
        "F.binary_cross_entropy_with_logits(s, 0.9 * one + 0.05)",
        "(F.binary_cross_entropy_with_logits(s, one * kept - (1 - kept), reduction='none') * kept).mean()",
        "F.binary_cross_entropy_with_logits(s, one * kept - (1 - kept), weight=kept)",
        "F.cross_entropy(z, torch.where(kept > 0, k, -100))",
        "F.cross_entropy(z, torch.where(kept > 0, k, -1), ignore_index=-1)",
        "F.soft_margin_loss(s, sign)",
        "F.relu(1 - sign * s).mean()",
        "F.mse_loss(s, sign)",
        "F.poisson_nll_loss(s, k.float())",
    ],
)
def test_targets_that_the_loss_takes(loss, tmp_path):
    assert complaints(verdict_of(tmp_path, SCRIPT.replace("LOSS", loss))) == []
