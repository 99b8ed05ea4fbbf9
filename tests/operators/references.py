"""Dense matrices by plain loops over samples and torch.func, which share no code with the operators."""

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel


def function_of(model):
    """(θ, f) with f(θ, x) the predictions, and how θ falls into parameters."""
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    shapes = [p.shape for p in model.parameters() if p.requires_grad]
    theta = torch.cat([p.detach().reshape(-1) for p in model.parameters() if p.requires_grad])

    def f(vector, x):
        pieces = vector.split([s.numel() for s in shapes])
        given = {n: t.view(s) for n, t, s in zip(names, pieces, shapes, strict=True)}
        buffers = {n: b.clone() for n, b in model.named_buffers()}
        with sdpa_kernel(SDPBackend.MATH):
            return functional_call(model, (given, buffers), (x,))

    return theta, f


def jacobian(model, x):
    """∂f/∂θ of one batch, [numel of f, P]."""
    theta, f = function_of(model)
    return torch.autograd.functional.jacobian(lambda t: f(t, x).reshape(-1), theta)


def gauss_newton(model, loss, batches):
    total = sum(len(y) for _, y in batches)
    found = 0
    for x, y in batches:
        theta, f = function_of(model)
        z = f(theta, x).detach()
        inner = torch.autograd.functional.hessian(lambda p, y=y, z=z: loss(p.view_as(z), y), z.reshape(-1))
        j = jacobian(model, x)
        found = found + len(y) / total * (j.T @ inner @ j)
    return found


def sample_gradients(model, loss, batches):
    """Gradients of the loss of each sample alone, [N, P]; not for layers that couple samples."""
    rows = []
    theta, f = function_of(model)
    for x, y in batches:
        for i in range(len(y)):
            leaf = theta.clone().requires_grad_()
            (g,) = torch.autograd.grad(loss(f(leaf, x[i : i + 1]), y[i : i + 1]), leaf)
            rows.append(g)
    return torch.stack(rows)


def small(classes=3, seed=0, activation=None):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 5), activation or nn.Tanh(), nn.Linear(5, classes)).double()
