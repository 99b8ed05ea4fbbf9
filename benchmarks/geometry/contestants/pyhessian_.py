"""PyHessian (Yao et al.), on one batch, whose gradient graph it keeps."""

import numpy as np
import torch
from pyhessian import hessian
from pyhessian.utils import hessian_vector_product
from workloads import Workload


def _made(w: Workload):
    for parameter in w.parameters:
        parameter.grad = None
    return hessian(w.model, w.loss, data=(w.inputs, w.targets), cuda=False)


def product(w: Workload, vector: torch.Tensor):
    made = _made(w)
    pieces = vector.split([p.numel() for p in made.params])
    column = [piece.view_as(p) for piece, p in zip(pieces, made.params, strict=True)]
    return lambda: torch.cat([h.flatten() for h in hessian_vector_product(made.gradsH, made.params, column)])


def top5(w: Workload):
    return lambda: _made(w).eigenvalues(top_n=5, tol=1e-3, maxIter=100)[0]


def trace(w: Workload):
    return lambda: (float(np.mean(_made(w).trace(maxIter=10_000, tol=1e-3))),)


def density(w: Workload):
    def run():
        values, weights = _made(w).density(iter=30, n_v=10)
        return (float(np.mean([np.sum(np.square(v) * u) for v, u in zip(values, weights, strict=True)])),)

    return run
