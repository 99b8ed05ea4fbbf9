"""Claims where a search could miss the counterexample: losses of directions, sharp bends, jumps, clamps, mutation."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import losscope
from losscope.checks import convexity, finite, ignored, lipschitz, mutation, permutation, smoothness
from losscope.checks.check import Check
from losscope.checks.engine import execute
from losscope.checks.naming import contradictions, words
from losscope.checks.subject import Subject, planted
from losscope.losses.arguments import Argument
from losscope.losses.tasks import TASKS

VALUES = (Argument("input", "values"), Argument("target", "real"))
LOGITS = (Argument("input", "logits"), Argument("target", "class-index"))
BINARY = (Argument("input", "binary-logits"), Argument("target", "binary"))
PAIR = (Argument("first", "embeddings"), Argument("second", "embeddings"))
GROUPS = (Argument("embeddings", "embeddings"), Argument("labels", "groups"))
TRIPLET = tuple(Argument(n, "embeddings") for n in ("anchor", "positive", "negative"))


def severity(check: Check, call, arguments) -> str | None:
    (found,) = execute(check, Subject(name="planted", call=call, arguments=arguments))
    assert found.outcome in ("pass", "fail"), found.text
    return found.severity


def slow(values: tuple):
    return pytest.param(*values, marks=pytest.mark.thorough)


def similarities(a: Tensor, b: Tensor) -> Tensor:
    return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T


def grouped(z: Tensor, y: Tensor) -> Tensor:
    same = (y[:, None] == y[None]).double()
    return (similarities(z, z) - same).square().mean()


DIRECTIONS = [
    (lambda a, b: F.cross_entropy(5 * similarities(a, b), torch.arange(len(a))), PAIR),
    (lambda a, b: -F.cosine_similarity(a, b).mean(), PAIR),
    (grouped, GROUPS),
    (lambda a, p, n: (F.cosine_similarity(a, n) - F.cosine_similarity(a, p) + 1).relu().mean(), TRIPLET),
]
DISTANCES = [
    (lambda a, b: (a - b).square().sum(1).mean(), PAIR),
    (lambda z, y: torch.pdist(z).square().mean() + 0.0 * y.sum(), GROUPS),
    (lambda a, p, n: ((a - p).square().sum(1) + (a - n).square().sum(1)).mean(), TRIPLET),
]


@pytest.mark.parametrize(("call", "arguments"), [DIRECTIONS[0], *map(slow, DIRECTIONS[1:])])
def test_a_loss_of_directions_is_neither_convex_nor_lipschitz_nor_smooth(call, arguments) -> None:
    """What is constant along rays and not constant jumps at 0."""
    for check in (convexity.CHECK, lipschitz.CHECK, smoothness.CHECK):
        assert severity(check, call, arguments) == "by-design"


@pytest.mark.parametrize(("call", "arguments"), [DISTANCES[0], *map(slow, DISTANCES[1:])])
def test_the_search_sees_what_is_planted_in_inputs_of_the_same_kind(call, arguments) -> None:
    """Squared distances are convex; the same with a shallow dent in them are not."""
    assert severity(convexity.CHECK, call, arguments) is None

    def dented(*case: Tensor) -> Tensor:
        return call(*case) - 0.5 * (-case[0].square().sum(1)).exp().mean() * case[0].numel()

    assert severity(convexity.CHECK, dented, arguments) == "by-design"


@pytest.mark.parametrize("eps", [1e-3, slow((1e-1,)), slow((1e-5,))])
def test_a_sharp_bend_is_smooth_with_its_curvature(eps: float) -> None:
    """√(x² + ε²) has the curvature 1/ε at 0; |x| has none."""
    subject = Subject(name="bend", call=lambda x, t: ((x - t) ** 2 + eps**2).sqrt().mean(), arguments=VALUES)
    (found,) = execute(smoothness.CHECK, subject)
    assert found.outcome == "pass", found.text
    assert severity(smoothness.CHECK, lambda x, t: (x - t).abs().mean(), VALUES) == "by-design"


def test_a_kink_is_not_hidden_by_a_bend() -> None:
    def hinged(a: Tensor, p: Tensor, n: Tensor) -> Tensor:
        near, far = ((a - x).square().sum(1).add(1e-6).sqrt() for x in (p, n))
        return (near - far + 1).relu().mean()

    assert severity(smoothness.CHECK, hinged, TRIPLET) == "by-design"


@pytest.mark.parametrize("jump", [0.5, slow((2.0,))])
def test_a_value_that_jumps_is_not_smooth_whatever_its_gradient_says(jump: float) -> None:
    def jumping(x: Tensor, t: Tensor) -> Tensor:
        beyond = ((x - t).detach().abs() > 1).to(x.dtype)
        return (F.huber_loss(x, t, reduction="none") + jump * beyond).mean()

    assert severity(smoothness.CHECK, jumping, VALUES) == "by-design"


@pytest.mark.parametrize(("eps", "expected"), [slow((0.0, None)), (1e-7, "by-design")])
def test_rounding_far_out_does_not_make_a_loss_of_scores_concave_a_clamp_does(eps, expected) -> None:
    def naive(z: Tensor, t: Tensor) -> Tensor:
        p = z.sigmoid().clamp(eps, 1 - eps) if eps else z.sigmoid()
        return -(t * p.log() + (1 - t) * (1 - p).log()).mean()

    assert severity(convexity.CHECK, naive, BINARY) == expected

    def focal(z: Tensor, t: Tensor) -> Tensor:
        each = F.binary_cross_entropy_with_logits(z, t, reduction="none")
        return ((z.sigmoid() - t).square() * each).mean()

    assert severity(convexity.CHECK, focal, BINARY) == "by-design"


def test_a_truncated_loss_is_concave_where_it_becomes_flat() -> None:
    ramp = lambda z, t: (1 - z * (2 * t - 1)).clamp(0, 2).mean()  # noqa: E731
    assert severity(convexity.CHECK, ramp, BINARY) == "by-design"


def views_in_turn(z: Tensor, y: Tensor) -> Tensor:
    a, b = z[0::2], z[1::2]
    return F.cross_entropy(similarities(a, b), torch.arange(len(a))) + 0.0 * y.sum()


def views_in_halves(z: Tensor, y: Tensor) -> Tensor:
    a, b = z.chunk(2)
    return F.cross_entropy(similarities(a, b), torch.arange(len(a))) + 0.0 * y.sum()


def first_counts_double(z: Tensor, y: Tensor) -> Tensor:
    each = F.cross_entropy(z, y, reduction="none")
    return (each.sum() + each[0]) / (len(each) + 1)


@pytest.mark.parametrize(
    ("call", "expected"),
    [(views_in_turn, "convention"), (views_in_halves, "convention"), (first_counts_double, "bug")],
)
def test_blocks_in_a_batch_are_no_bug(call, expected: str) -> None:
    assert severity(permutation.CHECK, call, LOGITS) == expected


def test_the_repro_of_a_mutation_shows_the_arguments_as_they_were(tmp_path, capsys) -> None:
    (found,) = execute(mutation.CHECK, mutation.broken())
    assert found.counterexample is not None
    loss = mutation.broken().call
    exec(compile(found.counterexample.repro, "<repro>", "exec"), {"loss": loss})
    assert capsys.readouterr().out.strip() == "False"
    assert "255" in found.counterexample.arguments[1]


def test_a_loss_cannot_change_the_cases_of_a_check() -> None:
    subject = Subject(name="spoils", call=lambda x, t: (x - t.mul_(0)).square().mean(), arguments=VALUES)
    case = subject.case(0)
    before = case[1].clone()
    subject.value(case)
    assert torch.equal(case[1], before)


def test_probabilities_of_exactly_0_and_1_with_value_and_gradient() -> None:
    pair = (Argument("input", "class-probabilities"), Argument("target", "class-index"))
    naive = lambda p, y: -p.log().gather(1, y[:, None]).mean()  # noqa: E731
    entropy = lambda p, y: naive(p.clamp_min(1e-6), y) + 0.1 * (p * p.log()).nan_to_num(0.0).sum(1).mean()  # noqa: E731
    safe = lambda p, y: naive(p.clamp_min(1e-6), y)  # noqa: E731
    found = {name: {e.severity for e in execute(finite.CHECK, Subject(name=name, call=call, arguments=pair))}
             for name, call in (("naive", naive), ("entropy", entropy), ("safe", safe))}  # fmt: skip
    assert "bug" in found["naive"]
    assert "bug" in found["entropy"]  # the value is mended, the gradient is NaN
    assert "bug" not in found["safe"]


def test_an_ignore_index_that_is_off_need_not_take_labels_that_are_no_class() -> None:
    def padded(lp: Tensor, y: Tensor, ignore_index: int | None = None) -> Tensor:
        nll = -lp.log_softmax(1).gather(1, y[:, None])[:, 0]
        return nll.where(y != ignore_index, 0.0).sum() if ignore_index is not None else nll.sum()

    subject = planted("padded", padded, LOGITS, "ignore_index")
    off = replace(subject, defaults={"ignore_index": None})
    told = [(e.severity, str(e.text)) for e in execute(ignored.CHECK, off)]
    assert ("bug", True) not in [(s, "raises" in t) for s, t in told]
    assert ("convention", True) in [(s, "raises" in t) for s, t in told]


@pytest.mark.parametrize(
    ("names", "task", "count"),
    [
        (("ratio", "advantages"), "reference-free-preference", 2),
        (("ratio", "advantages"), "policy-ratio", 0),
        (("policy_chosen_logps", "policy_rejected_logps"), "two-distributions", 2),
        (("logProbs", "target"), "log-probabilities", 0),
        (("a", "b"), "two-distributions", 0),
        (("pred", "target", "weight"), "masked-regression", 1),
    ],
)
def test_names_rule_readings_out(names: tuple[str, ...], task: str, count: int) -> None:
    assert contradictions(names, TASKS[task].arguments) == count


def test_words_of_names() -> None:
    assert words("oldLogProbs2") == ["old", "logprobs"]


def test_a_perfect_truth_costs_less_than_a_reversed_one_whatever_the_order_of_arguments() -> None:
    def worse_first(rejected_scores: Tensor, chosen_scores: Tensor) -> Tensor:
        return F.softplus(rejected_scores - chosen_scores).mean()

    def swapped(rejected_scores: Tensor, chosen_scores: Tensor) -> Tensor:
        return F.softplus(chosen_scores - rejected_scores).mean()

    assert losscope.audit(worse_first, only=["perfect"], isolate=False).bugs == []
    assert [e.check for e in losscope.audit(swapped, only=["perfect"], isolate=False).bugs] == ["perfect"]
