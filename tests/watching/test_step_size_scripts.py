"""Real trainings with one fault of the step size each, and their nearest harmless look-alikes."""

import numpy as np
import pytest
import torch
from memory_watch import watching
from torch import nn
from torch.nn import functional

from losscope.recording.reader import Recording
from losscope.rules.judge import judge_run


def judged(train):
    """Watch ``train``, and judge what was recorded."""
    torch.manual_seed(0)
    with watching(share=0.05) as memory:
        train()
    events = [{"kind": e["event"], **e} for e in memory.events]
    events.append({"kind": "script-end", "event": "script-end", "status": "finished", "exit_code": 0})
    data = {
        key: (np.array([s for s, _ in points], dtype=np.int64), np.array([float(v) for _, v in points]))
        for key, points in memory.data.items()
    }
    return judge_run(Recording.from_memory(data, events, {}))


def complaints(verdict):
    return [f.code for f in verdict.findings if f.severity != "info"]


def blobs(classes=5, size=512, width=16):
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(classes, width, generator=generator)
    y = torch.randint(0, classes, (size,), generator=generator)
    return centres[y] + 0.7 * torch.randn(size, width, generator=generator), y


X, Y = blobs()


def network(*, normalised=False):
    between = [nn.BatchNorm1d(64)] if normalised else []
    return nn.Sequential(
        nn.Linear(16, 64), *between, nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 5)
    )


def step(model, optimizer):
    pick = torch.randint(0, len(X), (64,))
    optimizer.zero_grad()
    loss = functional.cross_entropy(model(X[pick]), Y[pick])
    loss.backward()
    return loss


def decayed(make, updates=300, **options):
    def train():
        model = network(**options)
        optimizer = make(model.parameters())
        for _ in range(updates):
            step(model, optimizer)
            optimizer.step()

    return train


@pytest.mark.parametrize(
    ("make", "severity"),
    [
        (lambda p: torch.optim.AdamW(p, 3e-3, weight_decay=20.0), "warning"),
        (lambda p: torch.optim.Adam(p, 3e-3, weight_decay=1.0), "error"),
        (lambda p: torch.optim.SGD(p, 0.1, weight_decay=1.0), "error"),
    ],
    ids=["adamw", "adam", "sgd"],
)
def test_a_decay_that_dominates_is_the_cause(make, severity):
    first = judged(decayed(make)).findings[0]
    assert (first.code, first.severity) == ("weight-decay-dominates", severity)
    assert first.where is not None and first.where.file.endswith("test_step_size_scripts.py")


@pytest.mark.parametrize(
    ("make", "normalised"),
    [
        (lambda p: torch.optim.AdamW(p, 1e-3, weight_decay=0.1), False),
        (lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=5e-4), True),
    ],
    ids=["adamw", "behind normalisation"],
)
def test_an_ordinary_decay_is_not(make, normalised):
    assert complaints(judged(decayed(make, normalised=normalised))) == []


def scheduled(make, *, per, epochs=6, batches=50, rate=0.05, model=network):
    """``per`` "batch" or "epoch": where the scheduler is stepped; or never."""

    def train():
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), rate)
        loader = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(X[: 8 * batches], Y[: 8 * batches]), batch_size=8, shuffle=True
        )
        scheduler = make(optimizer)
        for _ in range(epochs):
            for x, y in loader:
                optimizer.zero_grad()
                functional.cross_entropy(net(x), y).backward()
                optimizer.step()
                if per == "batch":
                    scheduler.step()
            if per == "epoch":
                scheduler.step()

    return train


lr = torch.optim.lr_scheduler


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    ("make", "per", "rate"),
    [
        (lambda o: lr.StepLR(o, 10), "batch", 0.05),
        (lambda o: lr.CosineAnnealingLR(o, T_max=6), "batch", 0.05),
        (lambda o: lr.StepLR(o, 2), "never", 0.05),
        (lambda o: lr.OneCycleLR(o, 0.05, epochs=6, steps_per_epoch=50), "epoch", 0.05),
        (lambda o: lr.ExponentialLR(o, 0.9), "batch", 0.02),
    ],
    ids=["step-lr per batch", "cosine per batch", "never", "one-cycle per epoch", "exponential per batch"],
)
def test_a_schedule_that_is_not_what_was_meant(make, per, rate):
    found = judged(scheduled(make, per=per, rate=rate)).findings[0]
    assert found.code == "schedule-broken", found.title.render("en")
    assert found.where is not None and found.where.line > 0


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    ("make", "per"),
    [
        (lambda o: lr.StepLR(o, 2), "epoch"),
        (lambda o: lr.CosineAnnealingLR(o, T_max=6), "epoch"),
        (lambda o: lr.CosineAnnealingLR(o, T_max=300), "batch"),
        (lambda o: lr.OneCycleLR(o, 0.05, epochs=6, steps_per_epoch=50), "batch"),
        (lambda o: lr.CosineAnnealingWarmRestarts(o, 50), "batch"),
        (lambda o: lr.LinearLR(o, 0.01, total_iters=20), "batch"),
        (
            lambda o: lr.SequentialLR(
                o, [lr.LinearLR(o, 0.01, total_iters=20), lr.CosineAnnealingLR(o, 280)], [20]
            ),
            "batch",
        ),
    ],
    ids=["step", "cosine", "cosine per batch", "one-cycle", "restarts", "warm-up", "sequence"],
)
def test_schedules_that_are(make, per):
    assert complaints(judged(scheduled(make, per=per))) == []


clip = nn.utils.clip_grad_norm_


def clipping(order, *, limit=1.0, rate=0.05, updates=200, value=False):
    """``order``: letters of one update: z(ero), b (backward), c(lip), f(oreign clip), u(nscale), s(tep)."""

    def train():
        model, other = network(), network()
        optimizer = torch.optim.SGD(model.parameters(), rate)
        scaler = torch.amp.GradScaler("cpu", enabled="S" in order, init_scale=1024.0)
        act = {
            "z": optimizer.zero_grad,
            "Z": lambda: optimizer.zero_grad(set_to_none=False),
            "c": lambda: clip(model.parameters(), limit),
            "v": lambda: nn.utils.clip_grad_value_(model.parameters(), limit),
            "f": lambda: clip(other.parameters(), limit),
            "s": optimizer.step,
            "u": lambda: scaler.unscale_(optimizer),
            "S": lambda: (scaler.step(optimizer), scaler.update()),
        }
        for _ in range(updates):
            pick = torch.randint(0, len(X), (64,))
            for letter in order:
                if letter == "b":
                    scaler.scale(functional.cross_entropy(model(X[pick]), Y[pick])).backward()
                else:
                    act[letter]()

    return train


@pytest.mark.thinned(3)
@pytest.mark.parametrize("order", ["zcbs", "Zcbs", "zbsc", "zbfs", "zbcS", "czbs", "zbsv"])
def test_clipping_that_has_no_effect(order):
    findings = judged(clipping(order)).findings
    first = next(f for f in findings if f.code == "clip-has-no-effect")
    assert findings[0] is first or (order == "zbcS" and findings[0].code == "loss-scale-misused")
    if order != "Zcbs":
        assert first.where is not None and first.where.file.endswith("test_step_size_scripts.py")


@pytest.mark.thinned(3)
@pytest.mark.parametrize("order", ["zbcs", "Zbcs", "bcsz", "zbbcs", "zbcbcs", "zbucS", "zbcfs", "zbvs"])
def test_clipping_in_its_place(order):
    assert complaints(judged(clipping(order, rate=0.02))) == []


def test_clipping_that_dominates_and_clipping_that_always_acts():
    assert judged(clipping("zbcs", limit=1e-4)).findings[0].code == "clipping-dominates"
    assert complaints(judged(clipping("zbcs", limit=0.1, rate=0.5))) == []


def test_clipping_one_of_two_optimisers_after_the_other_has_stepped():
    """Both step on one backward pass: the second call is in time although an update has been made since."""

    def train():
        model = network()
        parts = [list(model[0].parameters()), list(model[2].parameters()) + list(model[4].parameters())]
        optimizers = [torch.optim.SGD(p, 0.05) for p in parts]
        for _ in range(100):
            pick = torch.randint(0, len(X), (64,))
            for optimizer in optimizers:
                optimizer.zero_grad()
            functional.cross_entropy(model(X[pick]), Y[pick]).backward()
            for part, optimizer in zip(parts, optimizers, strict=True):
                clip(part, 1.0)
                optimizer.step()

    assert complaints(judged(train)) == []


def test_a_momentum_that_is_too_high_and_one_that_goes_with_its_rate():
    high = judged(decayed(lambda p: torch.optim.SGD(p, 0.03, momentum=0.999)))
    assert high.findings[0].code == "momentum-too-high"
    assert complaints(judged(decayed(lambda p: torch.optim.SGD(p, 0.001, momentum=0.99)))) == []
