"""Small GANs on a ring: near equilibrium, won by the discriminator, and with a generator that ignores its noise."""

import math

import pytest
import torch
from judged import complaints, verdict_on
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce


def network(inputs, outputs):
    layers = [nn.Linear(inputs, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(64, outputs))


def play(updates=130, rate=1e-3, slow=1e-3, noise=1.0, form="two"):
    """``form``: two backward passes of the discriminator, one over the sum, or one over the joined batches."""
    maker, judge = network(8, 2), network(2, 1)
    first = torch.optim.Adam(judge.parameters(), rate, betas=(0.5, 0.9))
    second = torch.optim.Adam(maker.parameters(), slow, betas=(0.5, 0.9))
    real, made = torch.ones(64, 1), torch.zeros(64, 1)
    for _ in range(updates):
        angle = torch.randint(0, 8, (64,)) * math.pi / 4
        x = 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(64, 2)
        fake = maker(noise * torch.randn(64, 8)).detach()
        first.zero_grad()
        if form == "two":
            bce(judge(x), real).backward()
            bce(judge(fake), made).backward()
        elif form == "sum":
            (bce(judge(x), real) + bce(judge(fake), made)).backward()
        else:
            bce(judge(torch.cat([x, fake])), torch.cat([real, made])).backward()
        first.step()
        second.zero_grad()
        bce(judge(maker(noise * torch.randn(64, 8))), real).backward()
        second.step()


CASES = {
    "equilibrium": ({"form": "joined"}, []),
    "discriminator": ({"rate": 5e-3, "slow": 1e-5}, ["discriminator-wins"]),
    "collapse": ({"noise": 1e-5, "form": "sum"}, ["mode-collapse"]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_game_is_judged_by_its_players(name):
    options, expected = CASES[name]
    assert complaints(verdict_on(lambda: play(**options))) == expected
