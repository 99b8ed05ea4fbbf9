"""Which parameters a loss reaches."""

import torch
from torch import nn

from losscope.anatomy.reach import reached_parameters
from losscope.anatomy.read import read


def test_reached_detached_and_frozen() -> None:
    a, b, c = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1)
    c.weight.requires_grad_(False)
    loss = c(b(a(torch.randn(2, 3)).detach())).mean()
    assert {id(p) for p in reached_parameters(loss)} == {id(b.weight), id(b.bias), id(c.bias)}


def test_a_shared_parameter_is_listed_once() -> None:
    a = nn.Linear(3, 3)
    x = torch.randn(2, 3)
    for _ in range(10):
        x = a(x)
    assert len(reached_parameters(x.mean())) == 2


def test_deep_graphs_need_no_recursion() -> None:
    w = torch.ones(2, requires_grad=True)
    x = w
    for _ in range(20_000):
        x = x * 1.0001
    assert reached_parameters(x.sum()) == [w]


def test_terms_reach_their_own_parameters() -> None:
    encoder, head, extra = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(4, 1)
    h = encoder(torch.randn(5, 3))
    loss = (
        nn.functional.cross_entropy(head(h), torch.zeros(5, dtype=torch.long)) + (extra(h) - 1).pow(2).mean()
    )
    first, second = read(loss).terms
    assert {id(p) for p in first.parameters} == {id(p) for m in (encoder, head) for p in m.parameters()}
    assert {id(p) for p in second.parameters} == {id(p) for m in (encoder, extra) for p in m.parameters()}
    shallow = read(loss, deep=False)
    assert shallow.parameters == ()
    assert shallow.terms[0].parameters == ()


def test_leaf_loss() -> None:
    w = torch.ones((), requires_grad=True)
    assert reached_parameters(w) == [w]
    assert reached_parameters(torch.ones(())) == []
