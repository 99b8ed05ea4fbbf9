"""The streaming linear cross-entropy and its other backends on a GPU, against the plain expression in float64."""

import warnings

import pytest
import torch
import torch.nn.functional as F

from losscope.losses.large_output.linear_cross_entropy import (
    linear_cross_entropy,
    linear_cross_entropy_statistics,
)

pytestmark = pytest.mark.gpu
PACKAGES = {"torch": None, "liger": "liger_kernel", "cce": "cut_cross_entropy"}


def case(dtype, n=300, d=128, v=1000):
    g = torch.Generator().manual_seed(0)
    x, w = torch.randn(n, d, generator=g), torch.randn(v, d, generator=g) / d**0.5
    y = torch.randint(v, (n,), generator=g)
    y[::7] = -100
    exact = [t.to(dtype).double().cuda().requires_grad_() for t in (x, w)]
    return exact, [t.detach().to(dtype).requires_grad_() for t in exact], y.cuda()


def error(found, expected):
    return float((found.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 1e-2)]
)
@pytest.mark.parametrize("softcap", [None, 5.0])
def test_value_and_gradients(dtype, tolerance, softcap):
    (ex, ew), (x, w), y = case(dtype)
    z = ex @ ew.T
    z = z if softcap is None else softcap * torch.tanh(z / softcap)
    expected = F.cross_entropy(z, y, label_smoothing=0.1)
    found = linear_cross_entropy(x, w, y, label_smoothing=0.1, softcap=softcap)
    assert error(found.detach(), expected.detach()) < min(tolerance, 1e-5)
    for a, e in zip(torch.autograd.grad(found, (x, w)), torch.autograd.grad(expected, (ex, ew)), strict=True):
        assert error(a, e) < tolerance


def test_hessian_vector_product():
    (ex, ew), (x, w), y = case(torch.float64)
    along = [torch.randn_like(t) for t in (x, w)]

    def product(loss, leaves):
        gradients = torch.autograd.grad(loss, leaves, create_graph=True)
        return torch.autograd.grad(sum((g * v).sum() for g, v in zip(gradients, along, strict=True)), leaves)

    expected = product(F.cross_entropy(ex @ ew.T, y), (ex, ew))
    for a, e in zip(product(linear_cross_entropy(x, w, y), (x, w)), expected, strict=True):
        assert error(a, e) < 1e-10


def test_no_call_waits_for_the_device():
    _, (x, w), y = case(torch.float32)
    linear_cross_entropy(x, w, y).backward()
    try:
        with warnings.catch_warnings(action="ignore"):  # that the mode is a prototype
            torch.cuda.set_sync_debug_mode("error")
        linear_cross_entropy(x, w, y, label_smoothing=0.1).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_statistics():
    (ex, ew), (x, w), y = case(torch.float64)
    with torch.no_grad():
        kept = y != -100
        log_p = torch.log_softmax(ex @ ew.T, 1)[kept]
    found = linear_cross_entropy_statistics(x, w, y)
    assert found.samples == int(kept.sum())
    assert float(found.nll) == pytest.approx(float(F.nll_loss(log_p, y[kept])))
    assert float(found.entropy) == pytest.approx(float(-(log_p.exp() * log_p).sum(1).mean()))
    assert float(found.accuracy) == pytest.approx(float((log_p.argmax(1) == y[kept]).double().mean()))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what the compilers behind them import
@pytest.mark.parametrize("backend", sorted(PACKAGES))
def test_backends_agree(backend, reduction):
    if backend == "torch" and not hasattr(F, "linear_cross_entropy"):
        pytest.skip("this torch has no F.linear_cross_entropy")
    if PACKAGES[backend] is not None:
        pytest.importorskip(PACKAGES[backend])
    (ex, ew), (x, w), y = case(torch.bfloat16)
    expected = F.cross_entropy(ex @ ew.T, y, reduction=reduction)
    found = linear_cross_entropy(x, w, y, backend=backend, reduction=reduction)
    assert error(found.detach(), expected.detach()) < 1e-2
    pairs = zip(
        torch.autograd.grad(found.sum(), (x, w)), torch.autograd.grad(expected.sum(), (ex, ew)), strict=True
    )
    for a, e in pairs:
        assert error(a, e) < 2e-2
