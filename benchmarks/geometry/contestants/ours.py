"""losscope itself, with its defaults."""

import torch
from workloads import Workload

from losscope.estimators.extremes.lanczos import eigsh
from losscope.estimators.spectrum.spectral_density import spectral_density
from losscope.estimators.traces.trace import trace as trace_of
from losscope.objective.objective import Objective
from losscope.operators.fisher import Fisher
from losscope.operators.gauss_newton import GaussNewton
from losscope.operators.hessian import Hessian
from losscope.operators.jacobian import NTK


def _objective(w: Workload) -> Objective:
    return Objective(w.model, w.loss, (w.inputs, w.targets))


def product(w: Workload, vector: torch.Tensor):
    op = Hessian(_objective(w))
    _ = op @ vector  # makes the graph that is kept
    return lambda: op @ vector


def products_in_blocks(w: Workload, block: torch.Tensor):
    op = Hessian(_objective(w))
    _ = op @ block
    return lambda: op @ block


def fisher_product(w: Workload, vector: torch.Tensor):
    op = Fisher(_objective(w))
    _ = op @ vector
    return lambda: op @ vector


def top5(w: Workload):
    return lambda: eigsh(Hessian(_objective(w)), 5, "LM", rtol=1e-3).values


def gauss_newton_top(w: Workload):
    return lambda: eigsh(GaussNewton(_objective(w)), 1, rtol=1e-3).values


def trace(w: Workload):
    return lambda: (trace_of(Hessian(_objective(w)), rtol=0.02, products=20_000).value,)


def density(w: Workload):
    def run():
        found = spectral_density(Hessian(_objective(w)), probes=10, steps=30, exact=False)
        return (found.moments[2].value,)

    return run


def kernel(w: Workload):
    return lambda: NTK(Objective(w.model, w.loss, (w.inputs[:64], w.targets[:64]))).dense()
