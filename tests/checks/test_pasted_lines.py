"""The lines of a counterexample print what stands beside them."""

import math
import re
import warnings
from contextlib import suppress
from importlib import import_module

import pytest
import torch
from torch import Tensor

from losscope.checks import engine
from losscope.checks.check import Result, all_checks
from losscope.checks.engine import execute
from losscope.checks.subject import Subject
from losscope.core.registry import discover

MODULES = {check.name: module for module, check in discover("losscope.checks", "CHECK").items()}
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf|nan)\b", re.IGNORECASE)


def ran(subject: Subject, text: str) -> list[float]:
    """All numbers that the lines print."""
    printed: list[float] = []

    def note(*values: object) -> None:
        for value in values:
            if isinstance(value, Tensor):
                printed.extend(value.detach().double().reshape(-1).tolist())
            elif isinstance(value, bool | int | float):
                printed.append(float(value))

    with suppress(Exception), warnings.catch_warnings():  # some are to raise
        warnings.simplefilter("ignore")
        exec(text, {"loss": subject.call, "torch": torch, "print": note})
    return printed


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_lines_print_what_was_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[Subject, Result, str]] = []
    original = engine.repro

    def kept(subject: Subject, case, result: Result) -> str:
        text = original(subject, case, result)
        shown.append((subject, result, text))
        return text

    monkeypatch.setattr(engine, "repro", kept)
    execute(all_checks()[name], import_module(MODULES[name]).broken())
    for subject, result, text in shown:
        if result.expected and result.seen:
            assert "expected" in text.splitlines()[-1]
        if not re.fullmatch(rf"{NUMBER.pattern}(?:[ ,a-z]+{NUMBER.pattern})*", result.seen, re.IGNORECASE):
            continue  # words: an error, a shape
        figures = [float(n) for n in NUMBER.findall(result.seen)]
        fresh = subject if subject.options else import_module(MODULES[name]).broken()  # of no memory
        printed = ran(fresh, text)
        if name == "finite" and result.requires_grad:
            assert not all(map(math.isfinite, printed)), text
        else:
            assert printed == pytest.approx(figures, rel=1e-3, abs=1e-6, nan_ok=True), (result.seen, text)
