"""``wrong-sign`` on real scripts, and objectives in which a negative coefficient is right."""

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
x = torch.rand(256, 8)
c = (x @ torch.randn(8, 4)).argmax(1)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
decode = torch.randn(2, 8)
optimizer = torch.optim.Adam(model.parameters(), 1e-2MAXIMIZE)
for step in range(60):
    rows = torch.randint(0, 256, (64,))
    a, z, k = x[rows], model(x[rows]), c[rows]
    mu, logvar = z.chunk(2, 1)
    r = (mu + torch.randn_like(mu) * (0.5 * logvar).exp()) @ decode
    drawn = torch.distributions.Categorical(logits=z)
    action = drawn.sample()
    gain = (action == k).float() - 0.2
    loss = LOSS
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
BY_HAND = """
x = torch.randn(256, 8)
y = (x @ torch.randn(8, 5)).argmax(1)
w = torch.zeros(8, 5, requires_grad=True)
for step in range(60):
    F.cross_entropy(x @ w, y).backward()
    with torch.no_grad():
        w STEP
        w.grad.zero_()
"""


def _codes(folder, loss, maximize=""):
    return complaints(verdict_of(folder, SCRIPT.replace("LOSS", loss).replace("MAXIMIZE", maximize)))


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    "loss",
    [
        "-F.cross_entropy(z, k)",
        "1 - F.cross_entropy(z, k)",
        "F.log_softmax(z, 1).gather(1, k[:, None]).mean()",
        "torch.distributions.Normal(r, 1.0).log_prob(a).mean()",
        "F.cross_entropy(z, k) - 0.01 * sum(p.pow(2).sum() for p in model.parameters())",
        "F.mse_loss(r, a) + 0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp())",
        "-(drawn.log_prob(action) * gain).mean() + 0.2 * drawn.entropy().mean()",
    ],
)
def test_a_sign_that_is_wrong(loss, tmp_path):
    assert _codes(tmp_path, loss)[0] == "wrong-sign"


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    "loss",
    [
        "F.cross_entropy(z, k) - 0.1 * drawn.entropy().mean()",
        "F.mse_loss(r, a) - 0.05 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp())",
        "-(drawn.log_prob(action) * gain).mean() - 0.05 * drawn.entropy().mean()",
        "-drawn.log_prob(action)[0] * gain[0]",
        "F.mse_loss(r, a) - 0.1 * F.mse_loss(r, a.flip(0))",
    ],
)
def test_signs_that_are_right(loss, tmp_path):
    assert _codes(tmp_path, loss) == []


def test_the_optimiser_that_climbs(tmp_path):
    assert _codes(tmp_path, "F.cross_entropy(z, k)", ", maximize=True")[0] == "wrong-sign"
    assert _codes(tmp_path, "-F.cross_entropy(z, k)", ", maximize=True") == []


def test_the_gradient_is_added_by_hand(tmp_path):
    assert complaints(verdict_of(tmp_path, BY_HAND.replace("STEP", "+= 0.5 * w.grad")))[0] == "wrong-sign"
    assert complaints(verdict_of(tmp_path, BY_HAND.replace("STEP", "-= 0.5 * w.grad"))) == []
