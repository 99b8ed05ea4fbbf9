"""curvlinops (Dangel et al.), its operators with scipy's ARPACK, its own trace and spectrum estimators."""

import numpy as np
import torch
from curvlinops import (
    GGNLinearOperator,
    HessianLinearOperator,
    LanczosApproximateSpectrumCached,
    hutchinson_trace,
    xtrace,
)
from scipy.sparse.linalg import eigsh
from torch import nn
from workloads import Workload


def _op(w: Workload, kind=HessianLinearOperator):
    return kind(
        w.model, nn.CrossEntropyLoss(), w.parameters, [(w.inputs, w.targets)], check_deterministic=False
    )


def product(w: Workload, vector: torch.Tensor):
    op = _op(w)
    return lambda: op @ vector


def products_in_blocks(w: Workload, block: torch.Tensor):
    op = _op(w)
    return lambda: op @ block


def fisher_product(w: Workload, vector: torch.Tensor):
    op = _op(w, GGNLinearOperator)
    return lambda: op @ vector


def _largest(op, k: int) -> list[float]:
    scipy = op.to_scipy()
    start = np.random.default_rng(0).standard_normal(scipy.shape[0]).astype(np.float32)
    values = eigsh(scipy, k, which="LM", tol=1e-3, v0=start, return_eigenvectors=False)
    return sorted(values.tolist(), key=abs, reverse=True)


def top5(w: Workload):
    return lambda: _largest(_op(w), 5)


def gauss_newton_top(w: Workload):
    return lambda: _largest(_op(w, GGNLinearOperator), 1)


def trace(w: Workload):
    """XTrace, doubled until two in a row agree to 2 %: it gives no error of its own."""

    def run():
        op, before, probes = _op(w), float("nan"), 8
        while True:
            torch.manual_seed(probes)
            found = float(xtrace(op, probes))
            if abs(found - before) <= 0.02 * abs(found):
                return (found,)
            before, probes = found, 2 * probes

    return run


def trace_by_hutchinson(w: Workload):
    """Ten probes at a time until the standard error is 2 %."""

    def run():
        op, values = _op(w), []
        while len(values) < 3 or np.std(values) > 0.02 * abs(np.mean(values)) * len(values) ** 0.5:
            values.append(float(hutchinson_trace(op, 10)))
        return (float(np.mean(values)),)

    return run


def density(w: Workload):
    """Second moment of what its Lanczos runs give, with the squared first components as weights."""

    def run():
        torch.manual_seed(0)
        made = LanczosApproximateSpectrumCached(_op(w), 30, boundaries=(-1.0, 1.0))
        moments = [float((v**2 * u[0] ** 2).sum()) for v, u in made._get_lanczos_iters(10)]
        return (float(np.mean(moments)),)

    return run
