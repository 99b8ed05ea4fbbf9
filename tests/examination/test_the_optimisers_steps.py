"""The optimiser's own learning rate against what is stable: by hand, and at the end of a watched run."""

import json
import time

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losscope
from losscope.core.errors import BadUsage
from losscope.operators.hessian import Hessian


def problem():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    return model, (torch.randn(64, 5), torch.randint(3, (64,)))


def largest(model, data, penalty=None):
    dense = Hessian(losscope.Objective(model, F.cross_entropy, data, penalty, dtype=torch.float64)).dense()
    return float(torch.linalg.eigvalsh(dense).max())


@pytest.mark.parametrize(
    ("part", "said"), [(0.4, "is stable here"), (1.0, "at the edge"), (3.0, "beyond the edge")]
)
def test_rates_below_at_and_beyond_the_edge(part, said):
    model, data = problem()
    rate = part * (2 + 2 * 0.9) / largest(model, data)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    fact = losscope.examine(losscope.Objective(model, F.cross_entropy, data), 20, optimizer=optimizer)[
        "stability"
    ]
    assert fact.figures["factor"] == pytest.approx(1 / part, rel=0.01)
    assert fact.figures["limit"] == pytest.approx(3.8)
    assert said in fact.text.render("en") and "学习率" in fact.text.render("zh")
    json.dumps(fact.to_json(), allow_nan=False)


def test_without_an_optimiser_nothing_is_said_of_it():
    model, data = problem()
    objective = losscope.Objective(model, F.cross_entropy, data)
    found = losscope.examine(objective, 20, only=["stability"])
    assert not found.facts and not found.left_out
    with pytest.raises(BadUsage, match="an optimiser of torch is read"):
        losscope.examine(objective, 20, optimizer="sgd")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda model: torch.optim.Adam(model.parameters()), "no state for a parameter yet"),
        (lambda model: torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1), "holds no parameter"),
        (lambda model: torch.optim.Rprop(model.parameters()), "no preconditioner that is known"),
    ],
)
def test_an_optimiser_that_cannot_be_read_costs_one_look(make, why):
    model, data = problem()
    objective = losscope.Objective(model, F.cross_entropy, data)
    found = losscope.examine(objective, 20, optimizer=make(model), only=["value", "stability"])
    assert found["value"] and "stability" not in found.looks and not found.unfinished
    (reason,) = found.left_out
    assert "the optimiser's steps" in str(reason) and why in str(reason)


def test_an_optimiser_by_position_is_one_line():
    model, data = problem()
    objective = losscope.Objective(model, F.cross_entropy, data)
    with pytest.raises(BadUsage, match=r"a number of seconds \(seen: SGD\); .*optimizer=optimizer"):
        losscope.examine(objective, torch.optim.SGD(model.parameters(), 0.1))  # type: ignore[arg-type]
    with pytest.raises(BadUsage, match=r"a number of seconds \(seen: nan\)"):
        losscope.examine(objective, float("nan"))


def train(folder, make):
    """The rates are too small to move anything, so that the point of every update is known."""
    model, data = problem()
    with losscope.watch(out=folder, examine=20):
        optimizer = make(model)
        for _ in range(30):
            optimizer.zero_grad()
            F.cross_entropy(model(data[0]), data[1]).backward()
            optimizer.step()
        time.sleep(1.5)  # an examination never takes longer than the run
    document = json.loads((folder / "examination.json").read_text())
    facts = {fact["name"]: fact for fact in document["facts"]}
    said = " ".join(line["en"] for line in document["objective"])
    return model, data, facts, said


def test_a_watched_run_knows_its_optimiser_and_its_weight_decay(tmp_path):
    model, data, facts, said = train(
        tmp_path / "run",
        lambda m: torch.optim.SGD(m.parameters(), lr=1e-9, momentum=0.5, nesterov=True, weight_decay=0.1),
    )
    found, top = facts["stability"]["figures"], largest(model, data, 0.1)
    limit = (2 + 2 * 0.5) / (1 + 2 * 0.5)
    assert found["limit"] == pytest.approx(limit) and found["rates"] == [1e-9]
    assert found["stable rates"] == pytest.approx([limit / top], rel=0.01)
    assert top == pytest.approx(largest(model, data) + 0.1, rel=1e-6)
    assert "weight decay of 0.1" in said
    objective = losscope.Objective(model, F.cross_entropy, data, 0.1)
    assert facts["value"]["value"] == pytest.approx(objective.value(), rel=1e-5)


def test_an_adaptive_optimiser_is_read_with_its_state(tmp_path):
    model, data, facts, said = train(
        tmp_path / "run", lambda m: torch.optim.AdamW(m.parameters(), lr=1e-12, weight_decay=0.1)
    )
    objective = losscope.Objective(model, F.cross_entropy, data, dtype=torch.float64)
    p = objective.gradient().abs() + 1e-8  # of equal gradients, √v̂ is their size
    h = Hessian(objective).dense() / p.sqrt() / p.sqrt()[:, None]
    limit = (2 + 2 * 0.9) / (1 - 0.9)
    expected = limit / float(torch.linalg.eigvalsh(h).max())
    assert facts["stability"]["figures"]["stable rates"] == pytest.approx([expected], rel=0.02)
    assert "decoupled weight decay of 0.1 is left out" in said


def test_an_optimiser_that_is_not_known_is_named(tmp_path):
    _, _, facts, said = train(tmp_path / "run", lambda m: torch.optim.Rprop(m.parameters(), lr=1e-9))
    assert "stability" not in facts and "Rprop" in said
