"""A divergence, an entropy or a penalty beside a loss steers: the sum is progress while its weights are steady."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from losscope.anatomy.read import read
from losscope.losses.distribution.entropy import entropy_loss
from losscope.losses.distribution.gaussian_kl import gaussian_kl_loss
from losscope.losses.sequence.z_loss import z_loss
from losscope.probes.objective import Objective

torch.manual_seed(0)
ENCODER, DECODER = nn.Linear(6, 4), nn.Linear(2, 6)
X, Y = torch.rand(32, 6), torch.randint(4, (32,))


def vae(beta: float = 1.0):
    mean, log_variance = ENCODER(X).chunk(2, 1)
    data = functional.binary_cross_entropy_with_logits(DECODER(mean), X, reduction="sum") / 32
    return data + beta * gaussian_kl_loss(mean, log_variance, reduction="sum") / 32


def divergence_alone():
    return gaussian_kl_loss(*ENCODER(X).chunk(2, 1))


def classifier(beside):
    scores = ENCODER(X)
    return functional.cross_entropy(scores, Y) + beside(scores)


def policy_and_value():
    scores = ENCODER(X)
    taken = scores.log_softmax(1).gather(1, Y[:, None])[:, 0]
    surrogate = -(taken * torch.linspace(-1, 1, 32)).mean()
    return surrogate + functional.mse_loss(scores[:, 0], X[:, 0]) - 0.01 * entropy_loss(scores)


def told(*losses, scales=None):
    """Whether each term is called progress, by the last event of looks at these losses."""
    probe, events = Objective(), []
    sink = SimpleNamespace(event=lambda kind, **fields: events.append(fields))
    for step, loss in enumerate(losses):
        sample = SimpleNamespace(stream="0", step=step, anatomy=read(loss), sink=sink, where=None, sites={})
        sample.record = lambda *_: None
        probe.objective(sample)  # type: ignore[arg-type]
    return [term["value_is_progress"] for term in events[-1]["terms"]], len(events)


@pytest.mark.parametrize(
    "loss",
    [
        vae,
        lambda: classifier(lambda z: 0.1 * entropy_loss(z)),
        lambda: classifier(lambda z: 1e-4 * z_loss(z)),
    ],
)
def test_beside_a_loss_the_sum_is_progress(loss) -> None:
    assert told(loss(), loss()) == ([True, True], 1)


def test_alone_it_is_not() -> None:
    assert told(divergence_alone()) == ([False], 1)


def test_a_value_function_does_not_make_a_policy_gradient_progress() -> None:
    progress, _ = told(policy_and_value())
    assert progress[0] is False


def test_an_annealed_weight_is_seen() -> None:
    """The sum rises by the weight alone, so nothing may be read from its course; the last event says so, once."""
    progress, events = told(vae(0.1), vae(0.1), vae(0.2), vae(0.3))
    assert progress == [True, False]
    assert events == 2
    assert told(vae(0.0), vae(0.5))[0] == [True, False]


def test_a_scale_of_the_whole_objective_is_no_other_weight() -> None:
    assert told(vae(), 0.25 * vae(), 1024 * vae()) == ([True, True], 1)
