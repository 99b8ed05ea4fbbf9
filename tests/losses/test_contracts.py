"""Every contract of the catalogue is executed: all checkers on the loss itself, under each of its option sets."""

import inspect
from collections.abc import Iterable

import pytest
import torch

from losscope.checks import convexity, smoothness
from losscope.checks.check import Check, all_checks
from losscope.checks.engine import execute
from losscope.checks.subject import Subject, catalogue_subject
from losscope.losses.catalogue import specs as all_losses

CHECKED = {name: spec for name, spec in all_losses().items() if spec.function is not None and spec.arguments}
# No claims of a contract, but about the arithmetic of an implementation: a quarter of the time. For `make thorough`.
ARITHMETIC = frozenset({"accumulation", "precision", "bounded-below", "second-gradient"})
# A hundred iterations unrolled for every value: what it claims and its gradient; `make thorough` runs everything.
UNROLLED = frozenset({"sinkhorn"})
# What options may change: values and derivatives. Properties that are claimed are claimed for the defaults.
UNDER_OPTIONS = ("gradient", "finite", "precision", "mutation", "floor", "chance")


def told(checks: Iterable[Check], loss: Subject) -> list[str]:
    """What is wrong with a loss."""
    return [
        f"{check.name}: {evidence.text}"
        for check in checks
        for evidence in execute(check, loss)
        if evidence.outcome == "not-finished" or (evidence.outcome == "fail" and evidence.severity == "bug")
    ]


@pytest.mark.parametrize("name", sorted(CHECKED))
def test_a_loss_takes_what_it_says(name: str) -> None:
    """Without this, everything else could be "not applicable"."""
    loss = catalogue_subject(CHECKED[name])
    for case in loss.cases(3, (1.0, 3.0)):
        assert torch.isfinite(loss.value(case))


def checks_of(name: str) -> list[Check]:
    """All that a contract is held to."""
    claimed = {claim.name for claim in CHECKED[name].claims}
    return [c for c in all_checks().values() if not c.slow and (not c.claim or c.name in claimed)]


def left_for_later(name: str) -> frozenset[str]:
    """Checks of `make thorough`. A backward of its own is differentiated twice here as well."""
    own = "autograd.Function" in inspect.getsource(inspect.getmodule(CHECKED[name].function) or inspect)
    later = ARITHMETIC - {"second-gradient"} if own else ARITHMETIC
    if name in UNROLLED:
        later |= {check.name for check in checks_of(name) if not check.claim and check.name != "gradient"}
    return later


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches for counterexamples take a fifth of their seconds; `make thorough` gives them all."""
    for module in (convexity, smoothness):
        monkeypatch.setattr(module, "_SECONDS", vars(module)["_SECONDS"] / 5)


@pytest.mark.usefixtures("hurried")
@pytest.mark.thinned(2)
@pytest.mark.parametrize("name", sorted(CHECKED))
def test_a_loss_keeps_its_contract(name: str) -> None:
    later = left_for_later(name)
    wrong = told([c for c in checks_of(name) if c.name not in later], catalogue_subject(CHECKED[name]))
    assert not wrong, "\n".join(wrong)


@pytest.mark.thorough
@pytest.mark.parametrize("name", sorted(CHECKED))
def test_a_loss_stands_long_searches(name: str) -> None:
    searched = [check for check in checks_of(name) if check.name in ("convex", "smooth")]
    wrong = told(searched, catalogue_subject(CHECKED[name]))
    assert not wrong, "\n".join(wrong)


@pytest.mark.thorough
@pytest.mark.parametrize("name", sorted(CHECKED))
def test_a_loss_keeps_the_rest_of_its_contract(name: str) -> None:
    later = left_for_later(name)
    wrong = told([c for c in checks_of(name) if c.name in later], catalogue_subject(CHECKED[name]))
    assert not wrong, "\n".join(wrong)


@pytest.mark.thorough
@pytest.mark.parametrize("name", sorted(CHECKED))
def test_a_loss_passes_the_slow_checks(name: str) -> None:
    """``torch.compile``, ``torch.func`` and jumps: two minutes for all; `make thorough` runs them."""
    checks = [check for check in all_checks().values() if check.slow]
    wrong = told(checks, catalogue_subject(CHECKED[name]))
    assert not wrong, "\n".join(wrong)


def under_options(name: str, number: slice, which: tuple[str, ...] = UNDER_OPTIONS) -> None:
    checks = [check for check in all_checks().values() if check.name in which]
    for options in CHECKED[name].variants[number]:
        wrong = told(checks, catalogue_subject(CHECKED[name], options))
        assert not wrong, f"under {dict(options)}: " + "\n".join(wrong)


@pytest.mark.parametrize("name", sorted(CHECKED))
def test_a_loss_keeps_its_contract_under_its_options(name: str) -> None:
    """The first of its option sets; `make thorough` takes all."""
    under_options(name, slice(1), ("floor", "chance"))


@pytest.mark.thorough
@pytest.mark.parametrize("name", sorted(CHECKED))
def test_a_loss_keeps_all_of_its_contract_under_each_of_its_options(name: str) -> None:
    under_options(name, slice(None))


def test_every_loss_with_a_function_says_what_it_takes() -> None:
    assert not [
        name for name, spec in all_losses().items() if spec.function is not None and not spec.arguments
    ]


def test_nothing_that_a_contract_claims_is_left_for_later() -> None:
    """Of those that are not unrolled: claims, fields and the gradient are executed at every commit."""
    known = {name for check in all_checks().values() for name in [check.name] if check.claim}
    fields = {"range", "floor", "chance", "gradient", "closed-forms", "elicits"}
    assert not ARITHMETIC & (known | fields)
    assert set(all_checks()) >= ARITHMETIC
    assert {n for n in CHECKED if left_for_later(n) - ARITHMETIC} == UNROLLED


def test_every_claim_has_a_checker() -> None:
    known = set(all_checks())
    unknown = {
        (name, claim.name)
        for name, spec in all_losses().items()
        for claim in spec.claims
        if claim.name not in known
    }
    assert not unknown


def test_every_declared_exception_names_a_checker_and_gives_a_reason() -> None:
    known = set(all_checks())
    for name, spec in all_losses().items():
        for check, why in spec.exceptions.items():
            assert check in known, (name, check)
            assert len(why) > 15, (name, check)
