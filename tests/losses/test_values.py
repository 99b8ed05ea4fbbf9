"""Outputs of nodes, recomputed from what autograd saved, equal what the forward pass computed."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from losscope.losses.graph import values
from losscope.losses.graph.node import Graph, split_name
from losscope.losses.graph.values import output

Y = torch.tensor([0, 2, 1, 2])
OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add0": lambda a, b: torch.add(a, b, alpha=0.3),
    "Sub0": lambda a, b: torch.sub(a, b, alpha=2),
    "Mul0": lambda a, b: a * b,
    "Mul1": lambda a, b: torch.ops.aten.mul.Scalar(a, 0.7),
    "Div0": lambda a, b: a / b,
    "Div1": lambda a, b: torch.ops.aten.div.Scalar(a, 3),
    "Neg0": lambda a, b: -a,
    "Abs0": lambda a, b: a.abs(),
    "Pow0": lambda a, b: a**3,
    "Exp0": lambda a, b: a.exp(),
    "Log0": lambda a, b: b.log(),
    "Log1P0": lambda a, b: b.log1p(),
    "Sqrt0": lambda a, b: b.sqrt(),
    "Rsqrt0": lambda a, b: b.rsqrt(),
    "Reciprocal0": lambda a, b: b.reciprocal(),
    "Cosh0": lambda a, b: a.cosh(),
    "Relu0": lambda a, b: a.relu(),
    "Tanh0": lambda a, b: a.tanh(),
    "Sigmoid0": lambda a, b: a.sigmoid(),
    "LogSigmoid0": lambda a, b: F.logsigmoid(a),
    "Softplus0": lambda a, b: F.softplus(a, beta=2, threshold=10),
    "Clamp1": lambda a, b: a.clamp(-0.5, 0.5),
    "ClampMin0": lambda a, b: torch.clamp_min(a, 0.1),
    "ClampMax0": lambda a, b: torch.clamp_max(a, 0.1),
    "Maximum0": torch.maximum,
    "Minimum0": torch.minimum,
    "Sum0": lambda a, b: a.sum(),
    "Sum1": lambda a, b: a.sum(1, keepdim=True),
    "Mean0": lambda a, b: a.mean(),
    "Mean1": lambda a, b: a.mean(0),
    "Logsumexp0": lambda a, b: a.logsumexp(-1),
    "Gather0": lambda a, b: a.gather(1, Y[:, None]),
    "MseLoss0": lambda a, b: F.mse_loss(a, b, reduction="none"),
    "SmoothL1Loss0": lambda a, b: F.smooth_l1_loss(a, b, beta=0.3),
    "HuberLoss0": lambda a, b: F.huber_loss(a, b, delta=0.3, reduction="sum"),
    "SoftMarginLoss0": lambda a, b: F.soft_margin_loss(a, b.detach().sign()),
    "MultiMarginLoss0": lambda a, b: F.multi_margin_loss(a, Y, margin=0.5, p=2),
    "MultilabelMarginLoss0": lambda a, b: F.multilabel_margin_loss(a, Y[:, None].expand(4, 3).clone()),
    "BinaryCrossEntropy0": lambda a, b: F.binary_cross_entropy(a.sigmoid(), b.detach().clamp(0, 1)),
    "BinaryCrossEntropyWithLogits0": lambda a, b: F.binary_cross_entropy_with_logits(
        a, b.detach(), pos_weight=torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    ),
    "NllLoss0": lambda a, b: F.nll_loss(a, Y, weight=torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)),
    "NllLoss2D0": lambda a, b: F.nll_loss(a[:, :, None, None], Y[:, None, None], ignore_index=2),
    "LinalgVectorNorm0": lambda a, b: torch.linalg.vector_norm(a, 3, dim=1),
    "Norm1": lambda a, b: torch.ops.aten.norm.ScalarOpt_dim(a, 2, [1]),
    "Norm0": lambda a, b: torch.ops.aten.norm.Scalar(a, 2),
    "Dot0": lambda a, b: a[0].dot(b[0]),
    "T0": lambda a, b: a.t(),
    "Transpose0": lambda a, b: a.transpose(0, 1),
    "Select0": lambda a, b: a[:, 1],
    "Slice0": lambda a, b: a[1:4:2],
    "Addmm0": lambda a, b: torch.addmm(b, a, b.t() @ a, alpha=0.5),
    "Mm0": lambda a, b: a.t() @ b,
    "Xlogy0": torch.xlogy,
    "MaskedSelect0": lambda a, b: a.masked_select(torch.arange(12).reshape(4, 3) % 2 == 0),
    "LogSoftmax0": lambda a, b: a.log_softmax(1),
    "Softmax0": lambda a, b: a.softmax(0),
    "Clamp0": lambda a, b: torch.clamp(
        a, torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    ),
}


def operands() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(4, 3, dtype=torch.float64, generator=generator).requires_grad_()
    b = (torch.rand(4, 3, dtype=torch.float64, generator=generator) + 0.1).requires_grad_()
    return a, b


@pytest.mark.parametrize("key", OPERATIONS)
def test_an_output_is_recomputed_exactly(key: str) -> None:
    a, b = operands()
    result = OPERATIONS[key](a, b)
    assert result.grad_fn is not None
    op, variant = split_name(result.grad_fn.name())
    assert f"{op}{variant}" == key
    with torch.no_grad():
        value = output(Graph().node(result.grad_fn, result.output_nr))
    assert value is not None
    assert torch.equal(value, result)


def test_every_recomputed_operation_is_tested() -> None:
    assert set(values._RECOMPUTED) == set(OPERATIONS)


def test_random_operations_are_never_run_again() -> None:
    a, _ = operands()
    dropped = F.dropout(a, 0.5)
    state = torch.get_rng_state()
    assert dropped.grad_fn is not None
    value = output(Graph().node(dropped.grad_fn, 0))
    assert value is None or torch.equal(value, dropped)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_large_layer_is_not_recomputed() -> None:
    w = torch.randn(200, 200, requires_grad=True)
    product = torch.randn(200, 200) @ w
    assert product.grad_fn is not None
    assert output(Graph().node(product.grad_fn, 0)) is None
