"""Derivatives of the streaming linear cross-entropy of every order and by every transform."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from linear_cross_entropy_reference import (
    Loss,
    case,
    reference,
    small_blocks,  # noqa: F401  used by every test here
)
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap
from torch.utils._pytree import tree_leaves

from losscope.core.errors import BadUsage
from losscope.losses.large_output.linear_cross_entropy import linear_cross_entropy

# The first use of forward differentiation in a process makes torch itself compile with what it deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_numeric_derivatives(reduction: str) -> None:
    x, w, y, b = case(4, 2, 5)

    def loss(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return linear_cross_entropy(
            x, w, y, b, label_smoothing=0.1, z_loss=0.2, softcap=2.0, reduction=reduction, chunk_rows=3
        )

    assert gradcheck(loss, (x, w, b), check_forward_ad=True)
    assert gradgradcheck(loss, (x, w, b), check_fwd_over_rev=True)


def test_hessian_vector_products_are_columns_of_the_hessian() -> None:
    x, w, y, b = case(5, 3, 7)

    def loss(w: Tensor) -> Tensor:
        return linear_cross_entropy(x.detach(), w, y, b.detach(), softcap=3.0)

    full = torch.autograd.functional.hessian(
        lambda w: reference(x.detach(), w, y, b.detach(), softcap=3.0), w
    )
    direction = torch.randn(w.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    expected = torch.einsum("abcd,cd->ab", full, direction)
    (gradient,) = torch.autograd.grad(loss(w), w, create_graph=True)
    (product,) = torch.autograd.grad(gradient, w, direction)
    torch.testing.assert_close(product, expected)
    torch.testing.assert_close(torch.autograd.functional.hvp(loss, w, direction)[1], expected)
    torch.testing.assert_close(torch.autograd.functional.vhp(loss, w, direction)[1], expected)
    torch.testing.assert_close(jvp(grad(loss), (w,), (direction,))[1], expected)


def test_gauss_newton_products_are_hessians_of_the_output_layer() -> None:
    """In W alone the scores are linear, so that the Hessian is the Gauss-Newton matrix Jᵀ(diag p - ppᵀ)J."""
    x, w, y, _ = case(5, 3, 7)
    kept = y != -100
    p = F.linear(x, w).softmax(1)[kept].detach()
    inner = (torch.diag_embed(p) - p[:, :, None] * p[:, None, :]) / kept.sum()
    expected = torch.einsum("nab,nc,nd->acbd", inner, x[kept].detach(), x[kept].detach())
    found = hessian(lambda w: linear_cross_entropy(x.detach(), w, y))(w.detach())
    torch.testing.assert_close(found, expected)


TRANSFORMS: dict[str, Callable[[Loss, Tensor, Tensor, Tensor, Tensor], object]] = {
    "grad": lambda f, x, w, y, b: grad(lambda x, w, b: f(x, w, y, b), argnums=(0, 1, 2))(x, w, b),
    "jvp": lambda f, x, w, y, b: jvp(lambda x, w, b: f(x, w, y, b), (x, w, b), (x + 1, w - 1, 2 * b)),
    "jvp of one": lambda f, x, w, y, b: jvp(lambda w: f(x, w, y, b), (w,), (w - 1,)),
    "jvp unreduced": lambda f, x, w, y, b: jvp(
        lambda x, b: f(x, w, y, b, reduction="none"), (x, b), (x + 1, 2 * b)
    ),
    "vmap": lambda f, x, w, y, b: vmap(lambda x: f(x, w, y, b))(torch.stack([x, x + 1])),
    "per sample": lambda f, x, w, y, b: vmap(grad(lambda w, x, y: f(x[None], w, y[None], b)), (None, 0, 0))(
        w, x[2:], y[2:]
    ),
    "hessian": lambda f, x, w, y, b: hessian(lambda x, w: f(x, w, y, b), argnums=(0, 1))(x, w),
    "reverse over reverse": lambda f, x, w, y, b: jacrev(jacrev(lambda w: f(x, w, y, b)))(w),
    "reverse over forward": lambda f, x, w, y, b: jacrev(jacfwd(lambda w: f(x, w, y, b)))(w),
    "jacrev unreduced": lambda f, x, w, y, b: jacrev(lambda w: f(x, w, y, b, reduction="none"))(w),
    "hessian unreduced": lambda f, x, w, y, b: hessian(lambda w: f(x, w, y, b, reduction="none"))(w),
    "batched backward": lambda f, x, w, y, b: torch.autograd.functional.hessian(
        lambda w: f(x, w, y, b), w, vectorize=True
    ),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_of_functions(name: str) -> None:
    x, w, y, b = (t.detach() for t in case(5, 3, 7))
    found, expected = (
        tree_leaves(TRANSFORMS[name](f, x, w, y, b)) for f in (linear_cross_entropy, reference)
    )
    for a, e in zip(found, expected, strict=True):
        torch.testing.assert_close(a, e)


def test_third_derivatives_are_right_and_fourth_ones_raise() -> None:
    x, w, y, b = case(5, 3, 7)

    def cubic(loss: Loss) -> Tensor:
        (first,) = torch.autograd.grad(loss(x, w, y, b, softcap=2.0, z_loss=0.1), w, create_graph=True)
        (second,) = torch.autograd.grad((first**2).sum(), w, create_graph=True)
        return torch.autograd.grad((second**2).sum(), w, create_graph=True)[0]

    torch.testing.assert_close(cubic(linear_cross_entropy), cubic(reference))
    with pytest.raises(BadUsage, match="this often"):
        torch.autograd.grad(cubic(linear_cross_entropy).sum(), w)


def test_forward_over_forward_raises_instead_of_losing_a_tangent() -> None:
    x, w, y, _ = (t.detach() for t in case(5, 3, 7))
    with pytest.raises(BadUsage, match="forward over forward"):
        jacfwd(jacfwd(lambda w: linear_cross_entropy(x, w, y)))(w)
