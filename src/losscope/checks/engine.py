"""Runs one checker on one subject and puts what it found into evidence."""

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from losscope.checks.check import Check, Result
from losscope.checks.phrases import in_both
from losscope.checks.shrink import LONG, pasteable, shrink, sources
from losscope.checks.subject import NotALoss, Raised, Subject
from losscope.core.claims import Counterexample, Evidence
from losscope.core.text import Text

_SHRINK_SECONDS = 1.0

_RAISED = Text(en="the loss raised {error}", zh="损失函数抛出 {error}")
_NOT_A_LOSS = Text(en="{error}", zh="{error}")
_FAULT = Text(en="the checker itself failed: {error}", zh="检查器自身出错：{error}")
_MEMORY = Text(en="the loss ran out of memory", zh="该损失耗尽了内存")
_CONTRACT = Text(en="no contract is known for this loss", zh="该损失没有已知的契约")
_DECLARED = Text(en="{text} (declared: {why})", zh="{text}（已声明：{why}）")


def execute(check: Check, subject: Subject) -> list[Evidence]:
    """What a checker finds, at most once for each kind of finding. Never raises for what the loss does."""
    began = time.perf_counter()
    if check.needs_contract and subject.spec is None:
        return [_evidence(check, "not-applicable", _CONTRACT(), began)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = list(_distinct(check.run(subject)))
    except Raised as raised:
        return [_evidence(check, "not-applicable", _RAISED(error=str(raised)), began)]
    except NotALoss as error:
        return [_evidence(check, "not-applicable", _NOT_A_LOSS(error=str(error)), began)]
    except MemoryError:
        return [_evidence(check, "not-finished", _MEMORY(), began)]
    except Exception as error:  # noqa: BLE001  one checker's fault must not cost the others
        return [_evidence(check, "not-finished", _FAULT(error=f"{type(error).__name__}: {error}"), began)]
    return [_from_result(check, subject, result, began) for result in results]


def _distinct(results: Iterable[Result]) -> Iterator[Result]:
    """The first result of each kind: the same fault with another figure is the same fault."""
    seen = set()
    for result in results:
        key = (result.severity, result.skipped, result.text.text)
        if key not in seen:
            seen.add(key)
            yield result


def _from_result(check: Check, subject: Subject, result: Result, began: float) -> Evidence:
    if result.skipped:
        return _evidence(check, "not-applicable", result.text, began)
    if result.severity is None:
        return _evidence(check, "pass", result.text, began, figures=result.figures)
    result = _shrunken(result.subject or subject, result)
    found = _counterexample(result.subject or subject, result)
    spec = subject.spec if subject.described else None  # what one implementation declares, another does not
    why = spec.exceptions.get(check.name) if spec is not None else None
    if why is not None:
        text = _DECLARED(text=result.text, why=why)
        return _evidence(
            check, "declared", text, began, severity="by-design", figures=result.figures, counterexample=found
        )
    return _evidence(
        check,
        "fail",
        result.text,
        began,
        severity=result.severity,
        figures=result.figures,
        counterexample=found,
    )


def _evidence(check: Check, outcome, text, began: float, **more) -> Evidence:
    seconds = time.perf_counter() - began
    return Evidence(
        check=check.name, outcome=outcome, title=check.title(), text=in_both(text), seconds=seconds, **more
    )


def _shrunken(subject: Subject, result: Result) -> Result:
    """The result at the smallest case that still shows it, with the figures of that case."""
    if result.case is None or result.fails is None:
        return result
    case = _pasted([_smallest(subject, tuple(result.case), result), tuple(result.case)], result)
    if all(torch.equal(a, b) for a, b in zip(case, result.case, strict=True)):
        return result
    again = _again(result, case)
    if again is None:
        figures = [w for w in (result.seen, result.expected) if _is_figure(w)]
        blank = {"seen": "", "expected": ""} if figures else {}
        return replace(result, case=case, **blank)
    values = {**result.text.values, **again}
    told = {
        key: f"{values[key]:.6g}" for key in ("seen", "expected") if isinstance(values.get(key), int | float)
    }
    return replace(result, case=case, text=replace(result.text, values=values), **told)


def _pasted(cases: Sequence[tuple[Tensor, ...]], result: Result) -> tuple[Tensor, ...]:
    """The first case; if it is too long to be written out, the first of those that their lines draw that fails too."""
    if all(value.numel() <= LONG for value in cases[0]) or result.fails is None:
        return cases[0]
    for drawn in map(pasteable, cases):
        with suppress(Exception):  # drawn numbers need not be what the loss takes
            if result.fails(drawn):
                return drawn
    return cases[0]


def _again(result: Result, case: tuple[Tensor, ...]) -> Mapping[str, Any] | None:
    """The figures of another case; ``None`` where they cannot be had."""
    if result.again is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return result.again(case)
    except (Raised, NotALoss):
        return None


def _is_figure(words: str) -> bool:
    """Whether words hold a number, which belongs to the case that it was measured at."""
    return any(c.isdigit() for c in words)


def _counterexample(subject: Subject, result: Result) -> Counterexample | None:
    if result.case is None:
        return None
    case = tuple(result.case)
    arguments = tuple(sources(case))
    return Counterexample(arguments, repro(subject, case, result), result.seen, result.expected)


def _smallest(subject: Subject, case: tuple[Tensor, ...], result: Result) -> tuple[Tensor, ...]:
    assert result.fails is not None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if result.fails(case):
                return shrink(subject, case, result.fails, _SHRINK_SECONDS)
    except Exception:  # noqa: BLE001  the case as it was found is good enough
        return case
    return case


def repro(subject: Subject, case: Sequence[Tensor], result: Result) -> str:
    """Lines to paste into an issue: imports, the loss, the call."""
    texts = sources(case)
    first = next(iter(subject.predictions), 0)
    if result.requires_grad:
        for position in subject.predictions:
            if case[position].dtype.is_floating_point:
                texts[position] = f"{texts[position]}.requires_grad_()"
    with_x = [("x" if i == first else text) for i, text in enumerate(texts)]
    call = result.call.replace("{args_with_x}", ", ".join(with_x)).replace("{args}", ", ".join(texts))
    call = call.replace("{first}", texts[first])
    shown = all(torch.equal(a, b) for a, b in zip(pasteable(case), case, strict=True) if a.numel() > LONG)
    if not shown:
        call += "  # numbers of the same kind, not those that failed"
    elif result.expected and result.seen and "# " not in call:
        call += f"  # {result.seen}, expected {result.expected}"
    lines = subject.source or "import torch  # loss: the callable that was audited"
    return f"{lines}\n{call}"


def quiet_torch() -> None:
    """One thread: a child that was forked must not wait for threads that it does not have."""
    torch.set_num_threads(1)
