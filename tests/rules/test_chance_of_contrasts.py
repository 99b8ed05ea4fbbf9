"""Which terms a chance level means something for, and what explains a loss below it."""

import numpy as np
import pytest

from losscope.rules.judge import judge_run
from losscope.rules.planted import PlantedTerm, falling, flat, optimizer, record
from losscope.rules.terms import terms


def _energy_score(repulsion: float, kind: str = "mse"):
    """E‖x − y‖² − ½E‖x − x′‖²: the first term stays at its chance level while the score is learnt."""
    attraction, spread = flat(level=1.3, noise=0.01), falling(start=0.1, end=0.9, noise=0.01)
    first = PlantedTerm(kind="mse", chance=1.15, chance_error=0.01, values=attraction)
    second = PlantedTerm(kind=kind, coefficient=repulsion, chance=1.15, values=spread)
    return record(attraction + repulsion * spread, terms=[first, second])


@pytest.mark.parametrize(
    ("repulsion", "kind", "known"), [(-0.5, "mse", False), (0.5, "mse", True), (-0.5, "l1", True)]
)
def test_a_subtracted_loss_of_the_same_kind_takes_the_meaning_of_the_chance_level(repulsion, kind, known):
    assert (terms(_energy_score(repulsion, kind), "0")[0].chance is not None) is known


def test_an_energy_score_is_not_called_a_constant_answer():
    codes = {f.code for f in judge_run(_energy_score(-0.5)).findings}
    assert codes.isdisjoint({"loss-at-chance", "loss-below-chance"})


@pytest.mark.parametrize(("level", "code"), [(2.303, "loss-at-chance"), (5.0, "loss-below-chance")])
def test_at_chance_and_below_it_are_told_apart_and_explained_alike(level, code):
    term = PlantedTerm(chance=2.303, chance_error=0.001, notes=("double-softmax",))
    findings = judge_run(record(flat(level=level, noise=0.005), terms=[term], events=[optimizer()])).findings
    by_code = {f.code: f for f in findings}
    assert by_code[code].because_of == "double-softmax"
    assert len({"loss-at-chance", "loss-below-chance"} & set(by_code)) == 1


def test_a_loss_above_chance_that_still_falls_is_neither():
    loss = np.linspace(9.0, 4.0, 600)
    codes = {f.code for f in judge_run(record(loss)).findings}
    assert codes.isdisjoint({"loss-at-chance", "loss-below-chance"})
