"""Step sizes of runs at chance, with labels that carry nothing and with rates that are too high.

``python benchmarks/calibration/step_size.py [RUNS]`` trains seven small models (linear, two widths of perceptron,
batch normalisation, convolution, transformer, LSTM) by SGD, momentum, Adam and RMSprop, with cross-entropy and
squared error, batches of 8 to 128, fresh or fixed data. *Null*: labels drawn at random, usual learning rates.
*Planted*: labels of a linear map, rates 10 to 1000 times as high. Of the runs that end at chance or above, it prints
how many ``learning-rate-too-high`` would blame by each of its criteria, and by the cosine that it used before.
"""

import math
import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

UPDATES, SAMPLES, SETTLED = 150, 30, 8
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9),
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
}
RATES = {
    "null": {
        "sgd": (0.01, 0.1),
        "momentum": (0.01, 0.1),
        "adam": (1e-4, 1e-3, 1e-2),
        "rmsprop": (1e-4, 3e-3),
    },
    "planted": {"sgd": (1, 10, 100), "momentum": (1, 10), "adam": (0.1, 1, 10), "rmsprop": (0.1, 1)},
}


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(8, 32), nn.Linear(32, 5)
        self.layer = nn.TransformerEncoderLayer(32, 2, 64, 0.0, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.embed(x.view(-1, 4, 8))).mean(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(8, 32, batch_first=True), nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x.view(-1, 4, 8))[0][:, -1])


def perceptron(width: int, normalised: bool = False) -> nn.Module:
    def layer(inputs: int) -> list[nn.Module]:
        return [nn.Linear(inputs, width), *([nn.BatchNorm1d(width)] if normalised else []), nn.ReLU()]

    return nn.Sequential(*layer(32), *layer(width), nn.Linear(width, 5))


def convolution() -> nn.Module:
    parts = [nn.Conv2d(2, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()]
    return nn.Sequential(nn.Unflatten(1, (2, 4, 4)), *parts, nn.Flatten(), nn.Linear(256, 5))


MODELS: list[Callable[[], nn.Module]] = [
    lambda: nn.Linear(32, 5),
    lambda: perceptron(64),
    lambda: perceptron(512),
    lambda: perceptron(64, normalised=True),
    convolution,
    Transformer,
    Recurrent,
]


def run(kind: str, seed: int) -> dict[str, float]:
    """One training; its level at the end by chance, and the statistics at every fifth update."""
    rng = np.random.default_rng([seed, len(kind)])
    torch.manual_seed(seed)
    name = rng.choice(list(OPTIMIZERS))
    model, classes = MODELS[rng.integers(len(MODELS))](), rng.random() < 0.67
    optimizer = OPTIMIZERS[name](model.parameters(), lr=float(rng.choice(RATES[kind][name])))
    size, mean, fixed = int(rng.choice([8, 32, 128])), float(rng.choice([0, 1])), rng.random() < 0.5
    pool, answers = torch.randn(512, 32) + mean, torch.randn(32, 5) / 6
    losses, ratios, promised, cosines, before = [], [], [], [], None
    for step in range(UPDATES):
        x = pool[torch.randint(0, 512, (size,))] if fixed else torch.randn(size, 32) + mean
        y = (x - mean) @ answers if kind == "planted" else torch.randn(size, 5)
        optimizer.zero_grad()
        output = model(x)
        loss = (
            functional.cross_entropy(output, y.argmax(1)) if classes else functional.mse_loss(output, 6 * y)
        )
        loss.backward()
        losses.append(float(loss.detach()))
        gradient = flat(p.grad for p in model.parameters())
        if before is not None:
            cosines.append(float(functional.cosine_similarity(gradient, before, dim=0)))
        weights = flat(p.detach() for p in model.parameters())
        optimizer.step()
        before = gradient if step % (UPDATES // SAMPLES) == 0 else None
        if before is not None:
            moved = flat(p.detach() for p in model.parameters()) - weights
            ratios.append(float(moved.norm() / weights.norm()))
            if step >= SETTLED:
                promised.append(float(-(gradient @ moved)) / max(losses[-1], 1e-30))
    chance = math.log(5) if classes else 36.0
    early = float(np.median(ratios[1:4]))
    return {
        "level": float(np.mean(losses[-30:])) / chance,
        "two updates promise more than there is": float(np.sum(np.array(promised) > 1) >= 2),
        "early ratio of 0.3": float(early >= 0.3),
        "median ratio of 0.2": float(np.median(ratios[1:]) >= 0.2),
        "before: ratio of 0.05, early 0.3": float(np.median(ratios[1:]) >= 0.05 or early >= 0.3),
        "before: cosine below -0.5": float(np.median(cosines) < -0.5),
    }


def flat(tensors) -> Tensor:
    return torch.cat([t.flatten() for t in tensors])


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    torch.set_num_threads(1)
    for kind in RATES:
        found = [run(kind, seed) for seed in range(count)]
        at_chance = [r for r in found if math.isfinite(r["level"]) and r["level"] > 0.98]
        print(f"{kind}: {len(at_chance)} of {count} runs end at chance or above")
        for name in list(found[0])[1:]:
            print(f"  {name:42s} {sum(r[name] for r in at_chance):4.0f}")


if __name__ == "__main__":
    main()
