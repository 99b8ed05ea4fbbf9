"""A training for every trial that has the fault, and one that has not: "TRIAL CODE OUTCOME" → what is run."""

import warnings
from functools import partial

import torch
import torch.nn.functional as F
from planted_runs import Blind, classes, layers
from torch import nn

soon, longer = partial(classes, steps=12), partial(classes, steps=20)


def sgd(rate, **more):
    return lambda p: torch.optim.SGD(p, lr=rate, **more)


def adam(rate, **more):
    return lambda p: torch.optim.Adam(p, lr=rate, **more)


def each_class(output, y):
    return F.binary_cross_entropy_with_logits(output, F.one_hot(y, 5).float())


def sums(output, y):
    return F.cross_entropy(output, y, reduction="sum")


def frozen():
    """Only the last bias is trained."""
    net = layers()()
    for parameter in list(net.parameters())[:-1]:
        parameter.requires_grad_(False)
    return net


def drawn(deviation):
    def net():
        made = layers()()
        for parameter in made.parameters():
            nn.init.normal_(parameter, std=deviation)
        return made

    return net


class Times(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


def normalised(factor):
    return nn.Sequential(
        Times(factor), nn.Linear(20, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 5)
    ).eval()


def anew(momentum, rate):
    """An optimiser for every update."""

    def train():
        torch.manual_seed(0)
        model, x = layers()(), torch.randn(512, 20)
        y = (x @ torch.randn(20, 5)).argmax(1)
        for step in range(12):
            i = slice(32 * step % 512, 32 * step % 512 + 32)
            optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum)
            optimizer.zero_grad()
            F.cross_entropy(model(x[i]), y[i]).backward()
            optimizer.step()

    return train


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.a, self.b = nn.Linear(20, 32), nn.Linear(32, 5), nn.Linear(32, 1)

    def forward(self, x):
        h = self.body(x).relu()
        return self.a(h), self.b(h)


def made(net, loss, *, rate=0.05, dtype=torch.float32, scale=(1.0, 0.0), scaler=None, steps=12):
    """``loss(model, x, y)`` of features x and classes y."""

    def train():
        torch.manual_seed(0)
        model = net().to(dtype)
        x = torch.randn(512, 20)
        y = (x @ torch.randn(20, 5)).argmax(1)
        x = (x * scale[0] + scale[1]).to(dtype)
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        grow = torch.amp.GradScaler("cpu", init_scale=scaler) if scaler else None
        for step in range(steps):
            i = slice(32 * step % 512, 32 * step % 512 + 32)
            optimizer.zero_grad()
            value = loss(model, x[i], y[i])
            (grow.scale(value) if grow else value).backward()
            optimizer.step()

    return train


def entropy(model, x, y):
    return F.cross_entropy(model(x), y)


def with_penalty(model, x, y):
    return F.cross_entropy(model(x), y) + 2 * sum(p.square().sum() for p in model.parameters())


def two_terms(share):
    def loss(model, x, y):
        classes, value = model(x)
        return share * F.cross_entropy(classes, y) + F.mse_loss(value, x.sum(1, keepdim=True) / 20**0.5)

    return loss


def one_output():
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 1))


def against(model, x, y):
    """A row of targets against a column of predictions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of it
        return F.mse_loss(model(x), x[:, 0])


def beside(model, x, y):
    return F.mse_loss(model(x)[:, 0], x[:, 0])


CASES = {
    "learning-rate learning-rate-too-high confirmed": classes(make=adam(3.0)),
    "learning-rate learning-rate-too-high refuted": classes(net=Blind, make=sgd(1.0)),
    "learning-rate learning-rate-too-low confirmed": soon(make=sgd(1e-6)),
    "learning-rate learning-rate-too-low refuted": soon(net=Blind, make=sgd(0.01)),
    "learning-rate-range learning-rate-too-high confirmed": classes(make=adam(3.0)),
    "learning-rate-range learning-rate-too-high refuted": soon(make=sgd(1e-6)),
    "zero-gradients-each-step missing-zero-grad confirmed": classes(clears=False),
    "zero-gradients-each-step missing-zero-grad refuted": soon(),
    "extra-activation-removed double-softmax confirmed": soon(net=layers(nn.Softmax(1)), make=sgd(0.1)),
    "extra-activation-removed double-softmax refuted": soon(make=sgd(0.1)),
    "extra-activation-removed sigmoid-before-logits-loss confirmed": soon(
        net=layers(nn.Sigmoid()), loss=each_class, make=sgd(0.1)
    ),
    "extra-activation-removed sigmoid-before-logits-loss refuted": soon(
        net=layers(), loss=each_class, make=sgd(0.1)
    ),
    "permuted-labels labels-unrelated confirmed": longer(net=layers(), make=adam(1e-2), random=True),
    "permuted-labels labels-unrelated refuted": soon(net=layers(), make=adam(1e-2)),
    "no-weight-decay weight-decay-dominates confirmed": classes(
        net=layers(), make=sgd(0.1, weight_decay=1.0)
    ),
    "no-weight-decay weight-decay-dominates refuted": soon(net=Blind, make=sgd(0.1, weight_decay=1e-4)),
    "no-weight-decay weight-decay-dominates refuted (none)": soon(),
    "usual-momentum momentum-too-high confirmed": soon(net=layers(), make=sgd(0.2, momentum=0.999)),
    "usual-momentum momentum-too-high refuted": soon(),
    "no-clipping clipping-dominates confirmed": soon(clip=1e-3, make=sgd(0.1)),
    "no-clipping clipping-dominates refuted": soon(),
    "no-clipping clip-has-no-effect confirmed": soon(),
    "unscaled-gradients loss-scale-misused confirmed": made(layers(), entropy, scaler=4096.0),
    "unscaled-gradients loss-scale-misused refuted": soon(),
    "optimiser-kept optimiser-recreated confirmed": anew(0.9, 0.01),
    "optimiser-kept optimiser-recreated refuted": anew(0.0, 0.01),
    "shuffled-inputs input-has-no-effect confirmed": soon(net=Blind),
    "shuffled-inputs input-has-no-effect refuted": soon(net=layers()),
    "unfrozen parameters-frozen confirmed": soon(net=frozen),
    "unfrozen parameters-frozen refuted": soon(),
    "reinitialised bad-initialisation confirmed": soon(net=drawn(30.0)),
    "reinitialised bad-initialisation refuted": soon(net=Blind),
    "penalty-dropped penalty-dominates confirmed": made(layers(), with_penalty, rate=0.1),
    "penalty-dropped penalty-dominates refuted": soon(),
    "one-term-alone term-starved confirmed": made(Heads, two_terms(1e-3)),
    "one-term-alone term-starved refuted": soon(),
    "other-mode eval-mode-in-training confirmed": soon(net=lambda: normalised(30.0)),
    "other-mode eval-mode-in-training refuted": soon(net=layers()),
    "other-mode train-mode-in-evaluation confirmed": longer(net=layers(nn.Dropout(0.5))),
    "full-precision precision-stalled confirmed": made(
        layers(), entropy, rate=3e-4, dtype=torch.bfloat16, scale=(3.0, 0.0), steps=20
    ),
    "full-precision precision-stalled refuted": soon(),
    "normalised-inputs unnormalised-input confirmed": made(layers(), entropy, scale=(100.0, 1000.0)),
    "normalised-inputs unnormalised-input refuted": soon(),
    "broadcasting-fixed shape-broadcast confirmed": made(one_output, against),
    "broadcasting-fixed shape-broadcast refuted": made(one_output, beside),
    "mean-reduction wrong-reduction confirmed": soon(loss=sums, make=sgd(1.0)),
    "mean-reduction wrong-reduction refuted": soon(),
    "fit-one-batch vanishing-gradient confirmed": soon(net=Blind),
    "fit-one-batch vanishing-gradient refuted": soon(net=layers()),
}

IN_THOROUGH = {  # each has a near relative among those that stay
    "learning-rate learning-rate-too-high refuted",
    "learning-rate learning-rate-too-low confirmed",
    "learning-rate-range learning-rate-too-high confirmed",
    "learning-rate-range learning-rate-too-high refuted",
    "zero-gradients-each-step missing-zero-grad refuted",
    "extra-activation-removed sigmoid-before-logits-loss confirmed",
    "extra-activation-removed sigmoid-before-logits-loss refuted",
    "permuted-labels labels-unrelated refuted",
    "no-weight-decay weight-decay-dominates refuted (none)",
    "usual-momentum momentum-too-high refuted",
    "no-clipping clip-has-no-effect confirmed",
    "unscaled-gradients loss-scale-misused refuted",
    "reinitialised bad-initialisation refuted",
    "penalty-dropped penalty-dominates refuted",
    "one-term-alone term-starved refuted",
    "other-mode train-mode-in-evaluation confirmed",
    "full-precision precision-stalled refuted",
    "normalised-inputs unnormalised-input refuted",
    "mean-reduction wrong-reduction refuted",
    "fit-one-batch vanishing-gradient confirmed",
}
