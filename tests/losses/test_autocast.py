"""Every loss of our own means what it says under autocast: float32 operands stay float32, values stay what they are."""

import pytest
import torch
from torch import Tensor

from losscope.losses.arguments import draw_case
from losscope.losses.catalogue import specs
from losscope.losses.reduction import product
from losscope.losses.spec import LossSpec, needed_options

OWN = [
    spec
    for spec in specs().values()
    if spec.function is not None and spec.function.__module__.startswith("losscope.") and spec.arguments
]


def single(spec: LossSpec, seed: int = 0) -> list[Tensor]:
    drawn = draw_case(spec.arguments, seed, spec.lengths)
    return [x.float() if x.is_floating_point() else x for x in drawn]


def agrees(inside: Tensor, outside: Tensor) -> bool:
    return inside.dtype == outside.dtype and torch.allclose(inside, outside, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("spec", OWN, ids=lambda spec: spec.name)
def test_autocast_changes_nothing(spec: LossSpec) -> None:
    assert spec.function is not None
    case, options = single(spec), needed_options(spec)
    outside = spec.function(*case, **options)
    with torch.autocast("cpu", torch.bfloat16):
        inside = spec.function(*case, **options)
    assert agrees(inside, outside), (inside, outside)


def test_a_plain_product_would_be_caught() -> None:
    a, b = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.full((4, 5), 0.3)
    with torch.autocast("cpu", torch.bfloat16):
        plain, ours = (a @ b).logsumexp(1).mean(), product(a, b).logsumexp(1).mean()
    outside = (a @ b).logsumexp(1).mean()
    assert agrees(ours, outside)
    assert not agrees(plain, outside)


def test_products_compile_into_one_graph_and_work_without_a_device() -> None:
    a = torch.ones(2, 2)
    torch._dynamo.reset()
    assert torch.equal(torch.compile(product, backend="eager", fullgraph=True)(a, a), a @ a)
    assert product(a.to("meta"), a.to("meta")).shape == (2, 2)
