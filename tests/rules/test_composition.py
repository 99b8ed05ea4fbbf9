"""What an objective is made of: known sums, proven bounds, and nothing where a part is unknown."""

import math
from dataclasses import replace

import numpy as np
import pytest

from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.composition import composition
from losscope.rules.judge import judge_run
from losscope.rules.planted import PlantedTerm, every, falling, normal, record
from losscope.rules.terms import terms

N = 600
SMOOTHED = -0.91 * math.log(0.91) - 9 * 0.01 * math.log(0.01)  # label smoothing 0.1 over ten classes
DATA = PlantedTerm(
    chance=2.303,
    chance_error=0.001,
    contract={"task": "multi-class", "unit": "nats", "bounds": [0.0, None], "normaliser": math.log(10)},
)
PENALTY = PlantedTerm(
    kind="l2_penalty",
    coefficient=0.005,
    contract={"task": "penalty", "unit": "", "bounds": [0.0, None], "normaliser": None},
)


def two(data=None, penalty=None, *, noise=0.0, first=DATA, second=PENALTY, **changes):
    """A classifier with a penalty: 0.31 nats and 0.005 · 84 at the end, unless told otherwise."""
    data = falling(N, end=0.31, noise=0.0) if data is None else data
    penalty = np.linspace(25.0, 84.0, N) if penalty is None else penalty
    loss = first.coefficient * data + second.coefficient * penalty
    planted = [replace(first, values=data), replace(second, values=penalty)]
    return record(loss * (1 + noise * normal(N, 1)), terms=planted, **changes)


def test_contributions_shares_and_total():
    found = composition(two(), "0")
    assert [part.contribution for part in found.parts] == pytest.approx([0.31, 0.42], rel=0.03)
    assert found.total == pytest.approx(sum(part.contribution for part in found.parts))
    assert found.shares == pytest.approx([0.31 / 0.73, 0.42 / 0.73], rel=0.03)


def test_one_data_term_is_what_the_penalty_leaves_of_the_dense_loss():
    """The term is sampled at every 20th update, the loss at each: so the noise of batches is averaged out better."""
    errors = []
    for seed in range(30):
        noisy = 0.31 + 0.1 * normal(N, seed)
        found = composition(two(data=noisy, penalty=np.full(N, 84.0)), "0")
        assert found.parts[0].value == pytest.approx(noisy[-30:].mean(), abs=1e-9)
        errors.append((found.parts[0].value - 0.31, noisy[::20][-6:].mean() - 0.31))
    ours, sampled = np.sqrt(np.mean(np.square(errors), axis=0))
    assert ours < 0.7 * sampled


def test_a_penalty_in_motion_does_not_make_the_data_term_negative():
    """A penalty of thousands that vanishes: what it was at its last sample is not what it is in the last updates."""
    penalty = 6000 * np.exp(-np.arange(N) / 80)
    found = composition(two(data=np.full(N, 0.7), penalty=penalty, first=replace(DATA, values=None)), "0")
    assert found.parts[0].value == pytest.approx(0.7, abs=1e-6)
    last_sample = 5.0e-3 * penalty[580]
    assert (0.7 + 5.0e-3 * penalty[-30:].mean() - last_sample) != pytest.approx(
        0.7, abs=1e-3
    )  # the difference


def test_a_coefficient_that_was_changed_tells_no_contributions():
    loss = falling(N, end=0.31, noise=0.0) + np.linspace(0.0, 0.02, N) * 84.0  # annealed from 0 to 0.02
    planted = [
        replace(DATA, values=falling(N, end=0.31, noise=0.0)),
        replace(PENALTY, values=np.full(N, 84.0)),
    ]
    verdict = judge_run(record(loss, terms=planted))
    assert verdict.value is None
    assert [term.contribution for term in verdict.terms] == [None, None]
    assert [term.share for term in verdict.terms] == [None, None]
    assert verdict.at_least is None
    assert "penalty" not in verdict.sentence.render()


def test_a_term_not_sampled_near_the_end_tells_no_total():
    early = every(20, 200, 84.0)
    recording = two(series={(signals.TERM_VALUE, "0/1"): early})
    found = composition(recording, "0")
    assert found.parts[1].value is None
    assert found.total is None and found.shares == (None, None)
    assert "watch" not in judge_run(recording).sentence.render()


def test_shares_of_both_signs():
    bonus = PlantedTerm(kind="entropy", coefficient=-0.1, floor=None, contract={"task": "distribution"})
    found = composition(two(penalty=np.full(N, 2.0), second=bonus), "0")
    assert found.total == pytest.approx(0.31 - 0.2, rel=0.05)
    assert found.shares == pytest.approx([0.31 / 0.51, -0.2 / 0.51], rel=0.05)
    assert found.at_least is None  # nothing says how large the entropy may be


# --- the proven bound ------------------------------------------------------------------------------


def smoothed(**changes):
    contract = {**DATA.contract, "bounds": [SMOOTHED, None]}
    return replace(DATA, floor=SMOOTHED, options={"label_smoothing": 0.1}, contract=contract, **changes)


def test_the_floors_add_up_to_the_bound():
    high = falling(N, end=0.8, noise=0.0)
    assert composition(two(data=high, first=smoothed()), "0").at_least == pytest.approx(SMOOTHED)
    half = composition(two(data=high, first=smoothed(coefficient=0.5)), "0")
    assert half.at_least == pytest.approx(0.5 * SMOOTHED)
    assert composition(two(), "0").at_least == 0.0


def test_a_negative_coefficient_takes_the_upper_bound():
    similarity = PlantedTerm(
        kind="x", coefficient=-2.0, floor=None, contract={"task": "embedding", "bounds": [None, 0.0]}
    )
    found = composition(two(penalty=np.full(N, -0.3), second=similarity), "0")
    assert found.at_least == 0.0
    unknown = replace(similarity, contract={"task": "embedding", "bounds": [0.0, None]})
    assert composition(two(penalty=np.full(N, 0.01), second=unknown), "0").at_least is None


@pytest.mark.parametrize("contract", [{}, {"bounds": [None, None]}, {"bounds": None}, {"bounds": "x"}])
def test_no_bound_without_that_of_every_term(contract):
    assert composition(two(second=replace(PENALTY, contract=contract)), "0").at_least is None


def test_no_bound_that_the_recorded_values_contradict():
    """Targets outside the domain of the loss: its contract does not speak of them."""
    low = falling(N, end=0.3, noise=0.0)
    assert composition(two(data=low, first=smoothed()), "0").at_least is None


def naive_bound(recording):
    """The planted wrong version: coefficient × floor whatever its sign, floors of one batch's targets included."""
    return sum(t.coefficient * (t.floor or 0.0) for t in terms(recording, "0"))


def test_the_naive_bound_would_be_false():
    soft = replace(
        DATA, floor=0.9, contract={**DATA.contract, "bounds": [0.0, None]}
    )  # mean entropy of a batch
    recording = two(
        data=falling(N, end=0.95, noise=0.0), first=soft, second=replace(PENALTY, coefficient=1e-4)
    )
    assert naive_bound(recording) == pytest.approx(0.9)
    assert composition(recording, "0").at_least == 0.0


@pytest.mark.parametrize("seed", range(20))
def test_no_minimum_lies_below_the_bound(seed):
    """Smoothed cross-entropy + λ‖θ‖² of random linear models, minimised: never below the bound."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    x, y, rate = rng.standard_normal((40, 3)), rng.integers(0, 10, 40), 10.0 ** rng.uniform(-4, 0)
    target = np.full((40, 10), 0.01)
    target[np.arange(40), y] = 0.91

    def objective(flat):
        z = x @ flat.reshape(3, 10)
        z = z - z.max(1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
        return -(target * log_p).sum(1).mean() + rate * (flat**2).sum()

    least = minimize(objective, 0.1 * rng.standard_normal(30), options={"maxiter": 30}).fun
    assert least >= SMOOTHED


# --- in the verdict --------------------------------------------------------------------------------


def test_the_verdict_has_the_numbers():
    verdict = judge_run(two())
    data, penalty = verdict.to_json()["objective"]["terms"]
    assert verdict.to_json()["objective"]["value"] == pytest.approx(0.73, rel=0.03)
    assert data["value"] == pytest.approx(0.31, rel=0.05)
    assert data["unit"] == "nats" and penalty["unit"] == ""
    assert data["relative"]["chance"] == pytest.approx(data["value"] / 2.303)
    assert data["relative"]["normaliser"] == pytest.approx(data["value"] / math.log(10))
    assert data["relative"]["first"] == pytest.approx(data["value"] / 2.3, rel=0.01)
    assert penalty["relative"] == {
        "chance": None,
        "normaliser": None,
        "first": pytest.approx(84 / 25, rel=0.05),
    }
    assert data["share"] + penalty["share"] == pytest.approx(1.0)
    assert penalty["skill"] is None


def skill_without_floor(value, chance):
    """The planted wrong version."""
    return 1 - value / chance


def test_skill_is_one_at_the_floor_and_not_only_at_zero():
    term = judge_run(record(falling(end=SMOOTHED, noise=0.0), terms=[smoothed()])).terms[0]
    assert term.skill == pytest.approx(1.0, abs=1e-3)
    assert term.normalised == pytest.approx(0.0, abs=1e-3)
    assert term.excess == pytest.approx(0.0, abs=2e-3)
    assert skill_without_floor(term.value, term.chance) < 0.8


@pytest.mark.parametrize(("chance", "floor"), [(None, 0.0), (2.303, None), (0.4, 0.5)])
def test_no_skill_where_chance_or_floor_is_unknown_or_they_contradict(chance, floor):
    term = judge_run(record(falling(end=0.6), terms=[PlantedTerm(chance=chance, floor=floor)])).terms[0]
    assert term.skill is None and term.normalised is None
    assert (term.excess is None) == (floor is None)


def test_a_game_is_told_by_its_value_alone():
    critic = replace(DATA, kind="mean_score", contract={"task": "game", "value_is_progress": False})
    verdict = judge_run(two(first=critic))
    for term in verdict.to_json()["objective"]["terms"]:
        assert term["value"] is not None and term["value_is_progress"] is False
        assert term["skill"] is term["normalised"] is term["excess"] is None
        assert set(term["relative"].values()) == {None}
    assert verdict.at_least is None
    assert "watch" not in verdict.sentence.render()


def test_two_objectives_in_alternation_are_a_game():
    loss = falling(N, end=0.31)
    one, other = record(loss, terms=[DATA]), record(loss[::-1] + 1.0, terms=[DATA])
    series = {}
    for stream, recording in (("0", one), ("1", other)):
        for signal in (signals.LOSS, signals.TERM_VALUE, signals.TERM_CHANCE, signals.TERM_FLOOR):
            for label in recording.labels(signal):
                found = recording.series(signal, label)
                series[signal, stream + label[1:]] = (found.steps, found.values)
    events = [*one.events, {**other.events_of("anatomy")[0], "stream": "1"}]
    verdict = judge_run(Recording.from_memory(series, events, {}))
    assert len(verdict.terms) == 2
    assert not any(term.value_is_progress for term in verdict.terms)
    assert all(term.skill is None for term in verdict.terms)


def test_floors_of_batches_are_averaged_and_said_to_be_so():
    floors = 0.9 + 0.05 * normal(30, 5)
    soft = replace(DATA, floor=None)
    series = {(signals.TERM_FLOOR, "0/0"): every(20, N, floors)}
    recording = record(falling(end=1.2), terms=[soft], series=series)
    assert terms(recording, "0")[0].floor == pytest.approx(floors.mean())
    found = next(f for f in judge_run(recording).findings if f.code == "floor-above-zero")
    assert "on the targets seen" in found.title.render("en")
    assert "已见到的目标" in found.title.render("zh")


def test_values_at_the_floors_of_their_own_batches_are_no_policy_gradient():
    """Soft targets: half of the batches have a floor below that of the first one, and losses between the two."""
    floors = 0.9 + 0.1 * normal(30, 5)
    series = {(signals.TERM_FLOOR, "0/0"): every(20, N, floors)}
    values = np.interp(np.arange(N), np.arange(0, N, 20), floors + 0.01)
    soft = replace(DATA, floor=floors[0] + 0.2)
    assert judge_run(record(values, terms=[soft], series=series)).terms[0].value_is_progress
    assert not judge_run(record(values - 0.05, terms=[soft], series=series)).terms[0].value_is_progress


def test_units_of_recordings_that_do_not_tell_them():
    kinds = {"cross_entropy": " nats", "mse": "", "generalised_cross_entropy": "", "kl_div": " nats"}
    for kind, unit in kinds.items():
        assert terms(record(falling(), terms=[PlantedTerm(kind=kind)]), "0")[0].unit == unit
    told = PlantedTerm(kind="kl_div", contract={"unit": ""})
    assert terms(record(falling(), terms=[told]), "0")[0].unit == ""
