"""Units and inputs that keep signals from passing, through the real watch; and healthy networks that look alike."""

import pytest
import torch
import torch.nn.functional as F
from judged import complaints, verdict_on
from torch import nn

DEAD, SATURATED, START, RAW = "dead-units", "saturated-units", "bad-initialisation", "unnormalised-input"
FROZEN, COLLAPSE = "parameters-frozen", "posterior-collapse"


def data(n=256):
    torch.manual_seed(1)
    x = torch.randn(n, 10)
    return x, (x @ torch.randn(10, 3)).argmax(1)


def net(activation=nn.ReLU, depth=1):
    hidden = [layer for _ in range(depth) for layer in (nn.Linear(16, 16), activation())]
    return nn.Sequential(nn.Linear(10, 16), activation(), *hidden, nn.Linear(16, 3))


def train(model, x, y, rate=0.1, count=130, kind=torch.optim.SGD):
    optimizer = kind(model.parameters(), lr=rate)
    for _ in range(count):
        batch = torch.randint(0, len(x), (32,))
        optimizer.zero_grad()
        F.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()


def fit(change=None, scale=1.0, **how):
    def script():
        x, y = data()
        model = net(how.pop("activation", nn.ReLU), how.pop("depth", 1))
        if change is not None:
            with torch.no_grad():
                change(model)
        train(model, x * scale, y, **how)

    return verdict_on(script)


def below_zero(model):
    model[2].bias.fill_(-50.0)


def constant(model):
    for parameter in model.parameters():
        parameter.fill_(0.05)


def zeros(model):
    for parameter in model.parameters():
        parameter.zero_()


def wide(model):
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=6.0)


def tiny(model):
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=1e-3 if parameter.ndim > 1 else 0.0)


def zero_last(model):
    model[-1].weight.zero_()
    model[-1].bias.zero_()


def test_units_that_are_below_zero_for_all_data():
    verdict = fit(below_zero)
    assert complaints(verdict) == [DEAD]
    assert "2" in verdict.findings[0].title.render("en")


@pytest.mark.parametrize("change", [constant, zeros, tiny], ids=["constant", "zeros", "tiny"])
def test_weights_that_cannot_learn(change):
    assert complaints(fit(change, depth=2))[0] == START


def test_weights_that_are_far_too_large():
    assert complaints(fit(wide, depth=2, rate=1.0))[0] == START


def test_raw_data_explain_what_follows():
    verdict = fit(scale=1000.0)
    assert complaints(verdict) == [RAW]
    assert DEAD in [f.code for f in verdict.findings if f.because_of == RAW]


def test_saturated_from_the_start():
    def large(model):
        model[2].bias.fill_(20.0)

    assert complaints(fit(large, activation=nn.Sigmoid)) == [SATURATED]


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"change": zero_last},
        {"scale": 255.0, "rate": 1e-2, "kind": torch.optim.Adam},
        {"activation": nn.Tanh},
        {"change": lambda m: m[0].bias[:9].fill_(-50.0)},
    ],
    ids=["relu", "zero-last", "bytes", "tanh", "some-dead"],
)
def test_networks_that_learn_have_no_such_complaint(how):
    assert not {DEAD, SATURATED, START, RAW} & set(complaints(fit(**how)))


def groups(frozen, y_seed):
    """Two groups, the first with a rate of 0; labels that no linear head can tell from untrained features."""
    torch.manual_seed(y_seed)
    x = torch.randn(256, 8)
    y = ((x[:, :4] > 0).sum(1) % 2).long()
    model = nn.Sequential(nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 2))
    body = {"params": model[0].parameters(), "lr": 0.0 if frozen else 0.05}
    optimizer = torch.optim.SGD([body, {"params": model[2].parameters()}], lr=0.05)
    for _ in range(160):
        batch = torch.randint(0, 256, (64,))
        optimizer.zero_grad()
        F.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()


@pytest.mark.parametrize("frozen", [True, False])
def test_a_group_whose_rate_is_zero(frozen):
    assert (FROZEN in complaints(verdict_on(groups, frozen, 3))) is frozen


def autoencoder(weight):
    x = torch.randn(256, 4) @ torch.randn(4, 16)
    encoder, decoder = nn.Linear(16, 8), nn.Linear(4, 16)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-2)
    for _ in range(200):
        batch = x[torch.randint(0, 256, (32,))]
        mean, logvar = encoder(batch).chunk(2, -1)
        output = decoder(mean + torch.randn_like(mean) * (logvar / 2).exp())
        divergence = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum(1).mean()
        loss = F.mse_loss(output, batch) + weight * divergence
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("weight", [50.0, 0.01])
def test_a_code_that_carries_nothing(weight):
    assert complaints(verdict_on(autoencoder, weight)) == ([COLLAPSE] if weight > 1 else [])
