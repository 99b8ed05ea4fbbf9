"""An ordinary training loop that prints the seconds its steps took. The peers are called as their READMEs say."""

import argparse
import contextlib
import sys
import tempfile
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = (
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.Linear(2 * width, width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))


def workload(name: str) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """About 0.3, 3 and 30 ms a step on one CPU core."""
    batch, width, depth = {"0.3ms": (32, 32, 0), "3ms": (128, 128, 2), "30ms": (256, 256, 4)}[name]
    model = nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), *(Block(width) for _ in range(depth)), nn.Linear(width, 10)
    )
    return model, torch.randn(batch, 64), torch.randint(0, 10, (batch,))


@contextlib.contextmanager
def tool(name: str, model: nn.Module, optimizer: torch.optim.Optimizer, folder: str):
    """Yields what is to be called with the loss after each step, or None."""
    if name == "torchmortem":
        from torchmortem import Autopsy

        with Autopsy(model, optimizer=optimizer) as autopsy:
            yield lambda loss: autopsy.step(loss=loss.item())
    elif name == "torchinstruments":
        from torchinstruments import inject_observer, remove_observer

        inject_observer(model, output_dir=folder)
        yield None
        remove_observer(model)
    else:
        yield None


def train_with_cockpit(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, seconds: float, folder: str
) -> tuple:
    from backpack import extend
    from cockpit import Cockpit
    from cockpit.utils.configuration import configuration

    model, loss_function = extend(model), extend(nn.CrossEntropyLoss())
    individual = extend(nn.CrossEntropyLoss(reduction="none"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    cockpit = Cockpit(model.parameters(), quantities=configuration("economy"))
    began, busy, step = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        output = model(x)
        loss = loss_function(output, y)
        optimizer.zero_grad()
        info = {
            "batch_size": len(x), "individual_losses": individual(output, y), "loss": loss, "optimizer": optimizer,
        }  # fmt: skip
        with cockpit(step, info=info):
            loss.backward(create_graph=cockpit.create_graph(step))
        optimizer.step()
        step += 1
    return step, time.perf_counter() - began, time.process_time() - busy


def train(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, seconds: float, name: str, folder: str
) -> tuple:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with tool(name, model, optimizer, folder) as after:
        for _ in range(20):  # allocator, autograd threads and kernels warm up
            F.cross_entropy(model(x), y).backward()
            optimizer.zero_grad()
        began, busy, step = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began < seconds:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if after is not None:
                after(loss)
            step += 1
        return step, time.perf_counter() - began, time.process_time() - busy


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=["0.3ms", "3ms", "30ms"])
    parser.add_argument(
        "--tool", default="none", choices=["none", "torchmortem", "torchinstruments", "cockpit"]
    )
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        run = train_with_cockpit if chosen.tool == "cockpit" else None
        data = workload(chosen.workload)
        steps, spent, busy = (
            run(*data, chosen.seconds, scratch) if run else train(*data, chosen.seconds, chosen.tool, scratch)
        )
    sys.stdout.write(f"{spent / steps:.9f} {busy / steps:.9f} {steps}\n")
