"""An option that was left out or given wrongly is told, and not blamed on the inputs."""

import functools

import options_left_out as losses
import pytest
import torch

import losscope
from losscope.checks.left_out import is_option
from losscope.checks.phrases import render
from losscope.checks.target import resolve
from losscope.core.errors import BadUsage


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("scaled", ("take gamma as an option", "gamma=2.0 it is multi-class", "give --option gamma=…")),
        ("focal", ("take alpha and gamma as options", "--option alpha=… --option gamma=…")),
        ("of_classes", ("take num_classes as an option", "num_classes=5 it is multi-class")),
        ("quantile_error", ("take quantile as an option", "quantile=0.5 it is regression")),
        ("option_first", ("take gamma as an option",)),
        ("scaled(foo=1)", ("has no option foo", "it has: a, b, gamma")),
        ("Focal(gama=1)", ("has no option gama", "it has: gamma")),
        ("Focal(gamma='x')", ("no inputs with gamma='x'", "with gamma=2.0 it is multi-class", "TypeError")),
        ("focal(alpha='x', gamma=2)", ("no inputs with alpha='x'",)),
        ("NoForward", ("NoForward has no forward",)),
        ("TakesNothing", ("a call of TakesNothing takes no arguments",)),
    ],
)
def test_the_option_is_told(target: str, said: tuple[str, ...]) -> None:
    with pytest.raises(BadUsage) as caught:
        losscope.audit(f"options_left_out:{target}", isolate=False)
    assert [part for part in said if part not in str(caught.value)] == [], caught.value


def test_a_wrong_value_is_told_where_the_task_is_named() -> None:
    with pytest.raises(BadUsage, match="no inputs with gamma='x'"):
        losscope.audit("options_left_out:Focal(gamma='x')", task="multi-class", isolate=False)


@pytest.mark.parametrize(
    ("target", "task"),
    [
        ("scaled(gamma=2)", "multi-class"),
        ("focal(alpha=1, gamma=2)", "multi-class"),
        ("option_first(gamma=2)", "regression"),
        ("OnlyCall", "regression"),
        ("weighted", "weighted-regression"),  # an input, though many losses have such an option
    ],
)
def test_what_is_complete_is_audited(target: str, task: str) -> None:
    found = losscope.audit(f"options_left_out:{target}", only=["mutation"], isolate=False)
    assert found.task == task and "option" not in found.why


def test_the_task_may_be_named_instead_and_a_partial_be_given() -> None:
    assert losscope.audit(losses.scaled, "pair-embedding", only=["mutation"], isolate=False).passed
    given = functools.partial(losses.scaled, gamma=2.0)
    assert losscope.audit(given, only=["mutation"], isolate=False).task == "multi-class"


def test_a_name_that_says_nothing_is_a_hint_only() -> None:
    found = losscope.audit(losses.unnamed, only=["mutation"], isolate=False)
    assert "perhaps an option was left out: --option foo=…" in found.why
    assert "也许漏掉了选项：--option foo=…" in render(found.why, "zh")


def test_an_option_that_stands_first_is_called_by_name() -> None:
    target = resolve("options_left_out:option_first(gamma=2)")
    case = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0])
    space: dict = {}
    exec(target.source({}), space)
    assert float(target.make({})(*case)) == float(space["loss"](*case)) == 5.0


def test_names_of_options_are_those_of_the_catalogue() -> None:
    assert all(map(is_option, ["gamma", "margin", "reduction", "temperature", "label_smoothing"]))
    assert not any(map(is_option, ["pred", "target", "weight", "mask", "t", "p", "variance", "anything"]))
