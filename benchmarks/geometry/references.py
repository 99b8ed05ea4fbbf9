"""Right answers in double precision, by other means than any contestant's; kept in a folder, as some take minutes."""

import copy
import hashlib
import tempfile
from pathlib import Path

import torch
from contestants.plain import gauss_newton_product, hessian_product, largest
from torch.func import functional_call, jacrev, vmap
from workloads import Workload

KEPT = Path(tempfile.gettempdir()) / "losscope-geometry-references"


def reference(task: str, w: Workload) -> torch.Tensor | None:
    """The answer to a task; ``None`` where it is not had."""
    double = copy.deepcopy(w)
    double.model.double()
    if double.inputs.is_floating_point():
        double.inputs = double.inputs.double()
    make = ANSWERS.get(task.removesuffix("_by_hutchinson"))
    if make is None:
        return None
    weights = b"".join(p.detach().cpu().numpy().tobytes() for p in w.parameters)
    key = hashlib.sha256(weights + task.encode() + Path(__file__).read_bytes()).hexdigest()[:16]
    file = KEPT / f"{w.name}-{task}-{key}.pt"
    if not file.exists():
        KEPT.mkdir(exist_ok=True)
        torch.save(make(double), file)
    return torch.load(file)


def _vector(w: Workload, *shape: int) -> torch.Tensor:
    torch.manual_seed(1)
    size = sum(p.numel() for p in w.parameters)
    return torch.randn(size, *shape).double()


def _product(w: Workload) -> torch.Tensor:
    return hessian_product(w, _vector(w)).detach()


def _products(w: Workload) -> torch.Tensor:
    torch.manual_seed(1)
    size = sum(p.numel() for p in w.parameters)
    torch.randn(size), torch.randn(size)
    block = torch.randn(size, 8).double()
    return torch.stack([hessian_product(w, column).detach() for column in block.T], 1)


def _fisher(w: Workload) -> torch.Tensor:
    torch.manual_seed(1)
    size = sum(p.numel() for p in w.parameters)
    torch.randn(size)
    return gauss_newton_product(w, torch.randn(size).double()).detach()


def _jacobian(w: Workload, inputs: torch.Tensor) -> torch.Tensor:
    """[n, c, P]."""
    names = [name for name, _ in w.model.named_parameters()]

    def outputs(parameters, x):
        return functional_call(w.model, dict(zip(names, parameters, strict=True)), (x[None],))[0]

    found = vmap(jacrev(outputs), (None, 0))([p.detach() for p in w.parameters], inputs)
    return torch.cat([f.flatten(2) for f in found], 2)


def _trace(w: Workload) -> torch.Tensor | None:
    """Of piecewise linear networks the Hessian's trace is that of the Gauss-Newton matrix, a sum over samples."""
    if w.name == "transformer":
        return _trace_by_probes(w)
    total = 0.0
    for x in w.inputs.split(4):
        rows = _jacobian(w, x)
        p = w.model(x).softmax(1)
        total += float(
            (p[:, :, None] * rows.square()).sum() - torch.einsum("nc,ncp->np", p, rows).square().sum()
        )
    return torch.tensor([total / len(w.inputs)], dtype=torch.float64)


def _trace_by_probes(w: Workload) -> torch.Tensor:
    """The mean of 100 probes."""
    generator = torch.Generator().manual_seed(99)
    size, total = sum(p.numel() for p in w.parameters), 0.0
    for _ in range(100):
        probe = torch.randint(0, 2, (size,), generator=generator).double().mul_(2).sub_(1)
        total += float(probe @ hessian_product(w, probe))
    return torch.tensor([total / 100], dtype=torch.float64)


def _density(w: Workload) -> torch.Tensor:
    """(1/P) tr H², of 30 probes."""
    generator = torch.Generator().manual_seed(98)
    size, total = sum(p.numel() for p in w.parameters), 0.0
    for _ in range(30):
        probe = torch.randn(size, generator=generator).double()
        total += float(hessian_product(w, probe).square().sum())
    return torch.tensor([total / 30 / size], dtype=torch.float64)


def _kernel(w: Workload) -> torch.Tensor:
    rows = _jacobian(w, w.inputs[:64]).flatten(0, 1)
    return (rows @ rows.T).detach()


ANSWERS = {
    "product": _product,
    "products_in_blocks": _products,
    "fisher_product": _fisher,
    "top5": lambda w: torch.tensor(largest(w, hessian_product, 5, 1e-6), dtype=torch.float64),
    "gauss_newton_top": lambda w: torch.tensor(
        largest(w, gauss_newton_product, 1, 1e-6), dtype=torch.float64
    ),
    "trace": _trace,
    "density": _density,
    "kernel": _kernel,
}
