"""What K-FAC's factors cost, and who can make them: losscope, curvlinops and asdfghjkl, in gradients of the network.

    python benchmarks/geometry/bench_kfac.py [--rounds 5]

One label drawn per target ("mc"), places expanded, weight and bias together where the contestant can. Each number is
the processor time, on one thread, from the bare model to its factors, over that of one plain gradient taken in the same
round; the median over rounds. ``kept``: with an objective that is there already. ``attention`` is a layer of
``nn.TransformerEncoderLayer``, ``normalised`` a convolution with batch normalisation in training mode: for who fails.

The peers are optional: ``pip install curvlinops-for-pytorch asdfghjkl``.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from workloads import WORKLOADS, Workload, workload

import losscope

operators = losscope.operators


def ours(work: Workload) -> Callable[[], object]:
    return lambda: operators.KFAC(objective_of(work), "mc")


def ours_kept(work: Workload) -> Callable[[], object]:
    objective = objective_of(work)
    _ = objective.coefficients
    return lambda: operators.KFAC(objective, "mc")


def ours_ekfac(work: Workload) -> Callable[[], object]:
    objective = objective_of(work)
    _ = objective.coefficients
    return lambda: operators.EKFAC(objective, "mc")


def ours_diagonal(work: Workload) -> Callable[[], object]:
    objective = objective_of(work)
    _ = objective.coefficients
    return lambda: operators.Diagonal(objective, "mc")


def objective_of(work: Workload) -> losscope.Objective:
    return losscope.Objective(work.model, work.loss, (work.inputs, work.targets))


def _curvlinops(name: str) -> Callable[[Workload], Callable[[], object]]:
    def contestant(work: Workload) -> Callable[[], object]:
        import curvlinops

        made = getattr(curvlinops, name)
        options = {"fisher_type": "mc", "check_deterministic": False, "separate_weight_and_bias": False}
        data = [(work.inputs, work.targets)]

        def run() -> object:
            operator = made(
                work.model, nn.CrossEntropyLoss(), work.parameters, data, num_data=len(work.inputs), **options
            )
            operator.compute_kronecker_factors()
            if name == "EKFACLinearOperator":
                operator.compute_eigenvalue_correction()
            return operator

        return run

    return contestant


def asdl(work: Workload) -> Callable[[], object]:
    import asdl as library

    config = library.FisherConfig(
        fisher_type=library.FISHER_MC,
        fisher_shapes=[library.SHAPE_KRON],
        loss_type=library.LOSS_CROSS_ENTROPY,
        data_size=len(work.inputs),
    )

    def run() -> object:
        maker = library.get_fisher_maker(work.model, config)
        dummy = maker.setup_model_call(work.model, work.inputs)
        maker.setup_loss_call(F.cross_entropy, dummy, work.targets)
        maker.forward_and_backward()
        return maker

    return run


CONTESTANTS: dict[str, Callable[[Workload], Callable[[], object]]] = {
    "losscope KFAC": ours,
    "losscope KFAC, kept": ours_kept,
    "curvlinops KFAC": _curvlinops("KFACLinearOperator"),
    "asdfghjkl KFAC": asdl,
    "losscope EKFAC, kept": ours_ekfac,
    "curvlinops EKFAC": _curvlinops("EKFACLinearOperator"),
    "losscope Diagonal, kept": ours_diagonal,
}


class Encoder(nn.Module):
    """``nn.TransformerEncoderLayer`` on digits as sequences of rows."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 32)
        self.encoder = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.inner(x)).mean(1))


def extra(name: str) -> Workload:
    """Networks on which peers are known to fail."""
    base = workload("cnn", steps=0)
    images, y = base.inputs[:128], base.targets[:128]
    if name == "attention":
        return Workload(name, Encoder(), F.cross_entropy, images[:, 0], y)
    layers = [nn.Conv2d(1, 16, 3, groups=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, groups=4)]
    return Workload(
        name, nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 10)), F.cross_entropy, images, y
    )


def seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def measure(work: Workload, contestant: Callable[[Workload], Callable[[], object]], rounds: int) -> str:
    """Ratio to a gradient, or why there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = contestant(work)
            run()
            ratios = []
            for _ in range(rounds):
                before = seconds(work.gradient)
                cost = seconds(run)
                ratios.append(cost / ((before + seconds(work.gradient)) / 2))
    except ImportError as error:
        return f"not installed ({error.name})"
    except Exception as error:  # noqa: BLE001  a peer's failure is a result
        return f"fails: {type(error).__name__}: {str(error).splitlines()[0][:70] if str(error) else ''}"
    return f"{statistics.median(ratios):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workloads", nargs="*", default=[*WORKLOADS, "attention", "normalised"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.workloads:
        work = workload(name) if name in WORKLOADS else extra(name)
        size = sum(p.numel() for p in work.parameters)
        print(f"{name}: {size:,} parameters, {len(work.inputs)} samples")
        for title, contestant in CONTESTANTS.items():
            print(f"  {title:26s} {measure(work, contestant, options.rounds)}", flush=True)


if __name__ == "__main__":
    main()
