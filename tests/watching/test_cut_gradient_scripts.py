"""Cut gradient paths and forgotten parameters of real bug reports, through the real watch, and their look-alikes."""

import pytest
import torch
from judged import complaints, verdict_on
from torch import nn
from torch.nn import functional

BROKEN, FORGOTTEN = "graph-broken", "parameters-not-optimised"
WEIGHTS = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Two layers and a head; ``between`` is applied to what goes into the head, ``first`` to what leaves the first."""

    def __init__(self, between=functional.relu, first=functional.relu):
        super().__init__()
        self.encoder, self.middle, self.head = nn.Linear(10, 16), nn.Linear(16, 16), nn.Linear(16, 3)
        self.between, self.first = between, first

    def forward(self, x):
        return self.head(self.between(self.middle(self.first(self.encoder(x)))))


class Listed(nn.Module):
    """Parameters in a plain list are not registered."""

    def __init__(self):
        super().__init__()
        self.weights = [nn.Parameter(0.3 * torch.randn(10, 16)), nn.Parameter(torch.zeros(16))]
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(functional.relu(x @ self.weights[0] + self.weights[1]))


class MadeInForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(10, 16)

    def forward(self, x):
        return nn.Linear(16, 3)(functional.relu(self.encoder(x)))


def trained(model, given=None, loss=functional.cross_entropy, updates=110):
    optimizer = torch.optim.Adam((given or model).parameters(), 1e-2)
    for _ in range(updates):
        x = torch.randn(32, 10)
        optimizer.zero_grad()
        loss(model(x), (x @ WEIGHTS).argmax(1)).backward()
        optimizer.step()


def through_numpy(h):
    return torch.from_numpy(functional.relu(h).detach().numpy())


def straight_through(h):
    return h + (torch.sign(h) - h).detach()


def argmax_loss(output, y):
    return functional.mse_loss(output.argmax(1).float().requires_grad_(), y.float())


def loss_made_anew(output, y):
    return torch.tensor(functional.cross_entropy(output, y).item(), requires_grad=True)


def adversarial(updates=60):
    """The gradient of the input is made first; that of the weights is cleared before the second backward."""
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(updates):
        x = torch.randn(32, 10)
        y, noise = (x @ WEIGHTS).argmax(1), torch.zeros(32, 10, requires_grad=True)
        functional.cross_entropy(model(x + noise), y).backward()
        optimizer.zero_grad()
        functional.cross_entropy(model(x + 0.1 * noise.grad.sign()), y).backward()
        optimizer.step()


CASES = {
    "numpy in between": (BROKEN, lambda: trained(Net(first=through_numpy))),
    "sign": (BROKEN, lambda: trained(Net(between=torch.sign))),
    "argmax in the loss": (BROKEN, lambda: trained(Net(), loss=argmax_loss)),
    "torch.tensor(loss)": (BROKEN, lambda: trained(Net(), loss=loss_made_anew)),
    "made before the model": (FORGOTTEN, lambda: trained(Net(), given=Net())),
    "parameters in a list": (FORGOTTEN, lambda: trained(Listed())),
    "a layer made in forward": (FORGOTTEN, lambda: trained(MadeInForward())),
}
HEALTHY = {
    "straight through": lambda: trained(Net(between=straight_through)),
    "adversarial examples": adversarial,
}


@pytest.mark.parametrize("name", CASES)
def test_the_cut_is_the_cause(name):
    code, script = CASES[name]
    assert complaints(verdict_on(script)) == [code]


@pytest.mark.parametrize("name", HEALTHY)
def test_what_looks_like_a_cut_is_none(name):
    assert complaints(verdict_on(HEALTHY[name])) == []
