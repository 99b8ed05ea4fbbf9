"""BackPACK (Dangel, Kunstner and Hennig): matrix-free products with scipy's ARPACK, and per-sample gradients."""

import torch
from backpack import backpack, extend
from backpack.extensions import BatchGrad
from backpack.hessianfree.ggnvp import ggn_vector_product_from_plist
from backpack.hessianfree.hvp import hessian_vector_product
from workloads import Workload

from contestants.plain import _split, largest


def _flat(pieces) -> torch.Tensor:
    return torch.cat([p.flatten() for p in pieces]).detach()


def product(w: Workload, vector: torch.Tensor):
    loss = w.value()
    slope = torch.autograd.grad(loss, w.parameters, create_graph=True)
    column = _split(w, vector)
    return lambda: _flat(hessian_vector_product(loss, w.parameters, column, grad_params=slope))


def _gauss_newton(w: Workload):
    output = w.model(w.inputs)
    loss = w.loss(output, w.targets)
    return lambda _, v: _flat(ggn_vector_product_from_plist(loss, output, w.parameters, _split(w, v)))


def fisher_product(w: Workload, vector: torch.Tensor):
    multiply = _gauss_newton(w)
    return lambda: multiply(w, vector)


def gauss_newton_top(w: Workload):
    return lambda: largest(w, _gauss_newton(w), 1, 1e-3)


def kernel(w: Workload):
    """Per-sample gradients of every output."""

    def run():
        model = extend(w.model)
        inputs, rows = w.inputs[:64], []
        outputs = model(inputs)
        for c in range(outputs.shape[1]):
            with backpack(BatchGrad(), retain_graph=True):
                outputs[:, c].sum().backward(retain_graph=True)
            rows.append(torch.cat([p.grad_batch.flatten(1) for p in w.parameters], 1))
        jacobian = torch.stack(rows, 1).flatten(0, 1)
        return jacobian @ jacobian.T

    return run
