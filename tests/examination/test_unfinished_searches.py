"""A search that time cut short is said to be unfinished; it never says that no direction curves upwards."""

import math
from dataclasses import replace
from unittest.mock import ANY

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losscope
from losscope.core.estimate import Estimate
from losscope.estimators.flatness.stability import of_sharpness, stability
from losscope.examination.look import all_looks
from losscope.examination.place import Place
from losscope.operators.hessian import Hessian
from losscope.operators.optimiser_step import read_step


def trained(make):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 30), nn.Tanh(), nn.Linear(30, 3))
    x, y = torch.randn(64, 5), torch.randint(3, (64,))
    optimizer = make(model.parameters())
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return losscope.Objective(model, F.cross_entropy, (x, y)), optimizer


def late(objective, optimizer=None):
    """A place at which all time is gone: one product of every search is made."""
    step = None if optimizer is None else read_step(optimizer, objective.parameters, objective.names)
    return Place(objective, 0.0, 0, step)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD])
def test_the_optimisers_look_is_unfinished(kind):
    objective, optimizer = trained(lambda p: kind(p, lr=1e-3))
    look, place = all_looks()["stability"], late(objective, optimizer)
    (cut,) = look.run(place)
    assert place.cut_short and "cut short" in cut.text.render("en") and "中断" in cut.text.render("zh")
    assert "no rate is too large" not in cut.text.render("en")
    assert cut.figures["factor"] is None or cut.figures["factor"] > 0
    place.cut_short = False
    place.go_on(math.inf)
    (whole,) = look.run(place)
    assert not place.cut_short and "is stable here" in whole.text.render("en")
    assert whole.figures["converged"] and whole.value.value > cut.value.value  # that was a lower bound


def test_what_an_unfinished_search_knows():
    """The same numbers mean "nothing curves upwards" at the end of a search, and nothing at all before."""
    _, optimizer = trained(lambda p: torch.optim.SGD(p, lr=0.1))
    parameters = optimizer.param_groups[0]["params"]
    step = read_step(optimizer, parameters, [str(i) for i, _ in enumerate(parameters)])
    seen = Estimate(0.1, 0.5)
    assert of_sharpness(step, seen).factor == math.inf
    assert math.isnan(of_sharpness(step, seen, converged=False).factor)
    assert of_sharpness(step, Estimate(0.5, 0.1), converged=False).factor == pytest.approx(4)


def test_the_estimator_says_so_too():
    objective, optimizer = trained(lambda p: torch.optim.Adam(p, lr=1e-3))
    found = stability(objective, optimizer, products=1)
    assert not found.converged and "inf" not in str(found)
    assert "at most" in str(found) or "not known" in str(found)
    assert stability(objective, optimizer).converged


def test_a_search_goes_on_where_it_stopped(monkeypatch):
    """By as many products as without a pause; the planted mutant begins anew."""
    objective, optimizer = trained(lambda p: torch.optim.Adam(p, lr=1e-3))
    made, right = [0], Hessian.product

    def counted(self, vectors):
        made[0] += vectors.shape[1]
        return right(self, vectors)

    monkeypatch.setattr(Hessian, "product", counted)
    straight = stability(objective, optimizer)
    once, made[0] = made[0], 0
    search = stability.search(objective, optimizer)
    assert not search.run(products=3).converged
    assert search.run() == replace(straight, sharpness=replace(straight.sharpness, seconds=ANY))
    assert made[0] == once - 2  # the trial of the Hessian was made before
    look, place = all_looks()["stability"], late(objective, optimizer)
    made[0] = 0
    for _ in range(2):
        list(look.run(place))
        place.go_on(math.inf)
    assert made[0] == once - 2
    monkeypatch.setattr(Place, "stretch", lambda self, name, begin, share: begin().run(seconds=self.left))
    place, made[0] = late(objective, optimizer), 0
    for _ in range(2):
        list(look.run(place))
        place.go_on(math.inf)
    assert made[0] > once - 2


def test_the_largest_curvature_is_a_lower_bound_then():
    objective, _ = trained(lambda p: torch.optim.SGD(p, lr=1e-3))
    place = late(objective)
    texts = [fact.text.render("en") for fact in all_looks()["sharpness"].run(place)]
    assert place.cut_short and "cut short" in texts[0]
    assert not any("no direction" in text or "stable below" in text for text in texts)


def test_a_spectrum_without_an_error_is_not_said():
    objective, _ = trained(lambda p: torch.optim.SGD(p, lr=1e-3))
    place = late(objective)
    assert not list(all_looks()["spectrum"].run(place)) and place.cut_short
