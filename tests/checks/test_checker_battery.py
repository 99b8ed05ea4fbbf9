"""Every checker catches what it was made for, and is silent on its harmless neighbour."""

import inspect
from importlib import import_module

import pytest
import torch

from losscope.checks.check import Check, all_checks
from losscope.checks.engine import execute
from losscope.core.claims import Evidence
from losscope.core.registry import discover

MODULES = {check.name: module for module, check in discover("losscope.checks", "CHECK").items()}


def found(check: Check, planted: str) -> list[Evidence]:
    return execute(check, getattr(import_module(MODULES[check.name]), planted)())


def told(evidence: list[Evidence]) -> str:
    return "; ".join(f"{e.outcome}/{e.severity}: {e.text}" for e in evidence)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_planted_fault_is_caught_and_can_be_pasted(name: str) -> None:
    evidence = found(all_checks()[name], "broken")
    assert any(e.outcome == "fail" for e in evidence), told(evidence)
    assert all(e.outcome != "not-finished" for e in evidence), told(evidence)
    for one in evidence:
        if one.counterexample is not None:
            compile(one.counterexample.repro, "<repro>", "exec")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_harmless_neighbour_passes_and_the_random_state_stays(name: str) -> None:
    before = torch.get_rng_state()
    evidence = found(all_checks()[name], "sound")
    assert torch.equal(before, torch.get_rng_state())
    assert evidence
    assert all(e.outcome != "fail" or e.severity == "convention" for e in evidence), told(evidence)
    assert any(e.outcome == "pass" for e in evidence), told(evidence)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_checker_is_documented_in_both_languages(name: str) -> None:
    check, module = all_checks()[name], import_module(MODULES[name])
    assert len(inspect.cleandoc(module.__doc__ or "")) > 60
    assert check.title.en != check.title.zh
