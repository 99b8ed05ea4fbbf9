"""What a careful person writes with torch and scipy alone: fresh graphs, ARPACK, ``torch.func``."""

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch.func import functional_call, jacrev, jvp, vjp, vmap
from workloads import Workload


def _split(w: Workload, vector: torch.Tensor) -> list[torch.Tensor]:
    pieces = vector.split([p.numel() for p in w.parameters])
    return [piece.view_as(p) for piece, p in zip(pieces, w.parameters, strict=True)]


def hessian_product(w: Workload, vector: torch.Tensor) -> torch.Tensor:
    """Double backward through a graph that is made for it."""
    slope = torch.autograd.grad(w.value(), w.parameters, create_graph=True)
    found = torch.autograd.grad(slope, w.parameters, _split(w, vector), materialize_grads=True)
    return torch.cat([f.flatten() for f in found])


def gauss_newton_product(w: Workload, vector: torch.Tensor) -> torch.Tensor:
    """Forward mode, the Hessian of the loss, and a backward pass."""
    names = [name for name, _ in w.model.named_parameters()]

    def outputs(*parameters: torch.Tensor) -> torch.Tensor:
        return functional_call(w.model, dict(zip(names, parameters, strict=True)), (w.inputs,))

    parameters = tuple(p.detach() for p in w.parameters)
    made, pushed = jvp(outputs, parameters, tuple(_split(w, vector)))
    _, pull = vjp(outputs, *parameters)
    _, curved = jvp(torch.func.grad(lambda f: w.loss(f, w.targets)), (made,), (pushed,))
    return torch.cat([f.flatten() for f in pull(curved)])


def product(w: Workload, vector: torch.Tensor):
    return lambda: hessian_product(w, vector)


def fisher_product(w: Workload, vector: torch.Tensor):
    return lambda: gauss_newton_product(w, vector)


def largest(w: Workload, multiply, k: int, tolerance: float) -> list[float]:
    first = w.parameters[0]
    size = sum(p.numel() for p in w.parameters)

    def apply(array: np.ndarray) -> np.ndarray:
        return multiply(w, torch.as_tensor(array.ravel()).to(first)).detach().numpy()

    op = LinearOperator((size, size), matvec=apply, dtype=first.detach().numpy().dtype)
    start = np.random.default_rng(0).standard_normal(size).astype(op.dtype)
    values = eigsh(op, k, which="LM", tol=tolerance, v0=start, return_eigenvectors=False)
    return sorted(values.tolist(), key=abs, reverse=True)


def top5(w: Workload):
    return lambda: largest(w, hessian_product, 5, 1e-3)


def gauss_newton_top(w: Workload):
    return lambda: largest(w, gauss_newton_product, 1, 1e-3)


def trace(w: Workload):
    """Hutchinson until the standard error is 2 %."""

    def run():
        generator = torch.Generator().manual_seed(0)
        size = sum(p.numel() for p in w.parameters)
        values: list[float] = []
        while len(values) < 10 or np.std(values) > 0.02 * abs(np.mean(values)) * len(values) ** 0.5:
            probe = torch.randint(0, 2, (size,), generator=generator).float().mul_(2).sub_(1)
            values.append(float(probe @ hessian_product(w, probe)))
        return (float(np.mean(values)),)

    return run


def kernel(w: Workload):
    """Every sample's Jacobian by ``vmap(jacrev)``, multiplied."""

    def run():
        names = [name for name, _ in w.model.named_parameters()]

        def outputs(parameters, x):
            return functional_call(w.model, dict(zip(names, parameters, strict=True)), (x[None],))[0]

        parameters = [p.detach() for p in w.parameters]
        found = vmap(jacrev(outputs), (None, 0))(parameters, w.inputs[:64])
        rows = torch.cat([f.flatten(2) for f in found], 2).flatten(0, 1)
        return rows @ rows.T

    return run
