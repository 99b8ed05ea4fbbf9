"""hessian-eigenthings (Golmant), version 1."""

import torch
from hessian_eigenthings import (
    GGNOperator,
    HessianOperator,
    hutchinson,
    lanczos,
    spectral_density,
    supervised_forward,
    supervised_loss,
    supervised_loss_of_output,
)
from workloads import Workload


def _op(w: Workload):
    return HessianOperator(w.model, [(w.inputs, w.targets)], supervised_loss(w.loss))


def _gauss_newton(w: Workload):
    data = [(w.inputs, w.targets)]
    return GGNOperator(w.model, data, supervised_forward, supervised_loss_of_output(w.loss))


def product(w: Workload, vector: torch.Tensor):
    op = _op(w)
    return lambda: op.matvec(vector)


def fisher_product(w: Workload, vector: torch.Tensor):
    op = _gauss_newton(w)
    return lambda: op.matvec(vector)


def top5(w: Workload):
    def run():
        return lanczos(_op(w), k=5, tol=1e-3, seed=0).eigenvalues.tolist()

    return run


def gauss_newton_top(w: Workload):
    def run():
        return lanczos(_gauss_newton(w), k=1, tol=1e-3, seed=0).eigenvalues.tolist()

    return run


def trace(w: Workload):
    """Hutchinson with ever more probes until the standard error it gives is 2 %."""

    def run():
        count = 10
        while True:
            found = hutchinson(_op(w), num_samples=count, seed=0)
            if found.stderr <= 0.02 * abs(found.estimate):
                return (found.estimate,)
            count = int(count * max(1.2, (found.stderr / (0.02 * abs(found.estimate))) ** 2))

    return run


def density(w: Workload):
    def run():
        found = spectral_density(_op(w), num_runs=10, lanczos_steps=30, seed=0)
        return (float((found.raw_eigenvalues**2 * found.raw_weights).sum(1).mean()),)

    return run
