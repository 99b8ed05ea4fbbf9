"""The loss says nothing on stdout or stderr at every call, and does not change global settings.

A print in a loss floods the log of a training run; a changed default dtype, default device, number of threads, warning
filter, working folder or environment variable changes code that has nothing to do with the loss. These are
conventions; so is a changed random seed (of torch, numpy or python), for it makes every run draw the same dice. Grad
mode left switched off is a bug: nothing is learnt after the first step. Left switched on where it was off
(``set_grad_enabled(True)`` at the end, instead of what was before), it lets the rest of an evaluation build graphs.
"""

import contextlib
import io
import os
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.ambient import SETTINGS, environment_kept, kept, plain, read
from losscope.checks.check import Check, Result, failed, passed
from losscope.checks.subject import Case, Raised, Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_PRINTS = Text(en="it prints at every call: {text!r}", zh="每次调用都会打印：{text!r}")
_SEED = Text(
    en="a call sets the random seed of {generator}: the same dice are drawn after every call",
    zh="一次调用会重设 {generator} 的随机种子：此后每次抽取的随机数都相同",
)
_ENVIRONMENT = Text(en="a call changes the environment variable {name}", zh="一次调用会改动环境变量 {name}")
_GRAD_ON = Text(
    en="called under torch.no_grad(), it leaves the grad mode on: what follows builds a graph",
    zh="在 torch.no_grad() 下调用后，它让梯度模式保持开启：之后的计算会建立计算图",
)
_PASS = Text(en="silent, and leaves global settings alone", zh="不打印，也不改动全局设置")


_CHANGES = tuple(
    Text(
        en=f"a call changes {setting.name.en} from {{before}} to {{after}}",
        zh=f"一次调用把{setting.name.zh}从 {{before}} 改为 {{after}}",
    )
    for setting in SETTINGS
)
_SHOWN = 80  # characters of a printed line, or of a setting
_DICE: dict[str, tuple[Callable[[], Any], Callable[[Any], object], Callable[[int], object], str]] = {
    "torch": (torch.get_rng_state, torch.set_rng_state, torch.manual_seed, "torch.rand(())"),
    "numpy": (np.random.get_state, np.random.set_state, np.random.seed, '__import__("numpy").random.rand()'),
    "python": (random.getstate, random.setstate, random.seed, '__import__("random").random()'),
}
"""Generators of the process: how to read, to restore and to seed them, and how to draw a number."""


def _run(subject: Subject) -> Iterator[Result]:
    case = subject.case(0)
    with environment_kept():
        subject(*case)  # what is said or done once, at the first call, is no flood
    found = False
    for look in (_spoken, _changed, _switched_on, _seeded):
        with environment_kept():
            results = [*look(subject, case)]
        for result in results:
            found = True
            yield replace(result, fails=partial(_shows, subject, look, result.text.text))
    if not found:
        yield passed(_PASS)


def _shows(subject: Subject, look: Callable[..., Iterator[Result]], text: Text, case: Case) -> bool:
    """Whether a case shows the same."""
    with environment_kept():
        return any(result.text.text == text for result in look(subject, case))


def _spoken(subject: Subject, case: Case) -> Iterator[Result]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        subject(*case)
        subject(*case)
    text = out.getvalue().strip()
    if text and len(text.splitlines()) >= 2:
        yield failed("convention", _PRINTS(text=text.splitlines()[0][:_SHOWN]), case=case, seen="output")


def _changed(subject: Subject, case: Case) -> Iterator[Result]:
    """What differs after a call that is not put back as the other checkers have it."""
    with environment_kept():
        subject(*case)
    with plain(), environment_kept(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.resetwarnings()  # as it is, "ignore" stands in front already
        before, variables = read(), dict(os.environ)
        try:
            subject.call(*case)
        except Exception as error:
            raise Raised(error) from error
        after, names = read(), {n for n, _ in set(os.environ.items()) ^ set(variables.items())}
    for setting, text, old, new in zip(SETTINGS, _CHANGES, before, after, strict=True):
        if old != new:
            severity = "bug" if setting.read is torch.is_grad_enabled else "convention"
            how = {"case": case, "call": f"loss({{args}}); print({setting.shown})"}
            yield failed(severity, text(before=_shown(old), after=_shown(new)), **how)
    if names:
        call = f"loss({{args}}); print(__import__('os').environ.get({min(names)!r}))"
        yield failed("convention", _ENVIRONMENT(name=min(names)), case=case, call=call)


def _switched_on(subject: Subject, case: Case) -> Iterator[Result]:
    """Whether grad mode is on after a call that found it off."""
    with environment_kept(), kept(), torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        try:
            subject.call(*(value.clone() for value in case))
        except Exception as error:
            raise Raised(error) from error
        left_on = torch.is_grad_enabled()
    if left_on:
        call = "torch.set_grad_enabled(False); loss({args}); print(torch.is_grad_enabled())"
        yield failed("convention", _GRAD_ON(), case=case, call=call, seen="True", expected="False")


def _shown(value: Any) -> str:
    return str(value)[:_SHOWN]


def _seeded(subject: Subject, case: Case) -> Iterator[Result]:
    """Generators whose state after a call does not depend on their state before it."""
    began = {name: state() for name, (state, *_) in _DICE.items()}
    ends: list[dict[str, str]] = []
    for seed in (11, 12):
        for _, _, sow, _ in _DICE.values():
            sow(seed)
        subject(*case)
        ends.append({name: _told(state()) for name, (state, *_) in _DICE.items()})
    for name, (_, restore, *_) in _DICE.items():
        restore(began[name])
    same = [name for name in _DICE if ends[0][name] == ends[1][name]]
    if same:
        draw = _DICE[same[0]][-1]
        call = f"loss({{args}}); a = {draw}; loss({{args}}); print(a, {draw})"
        yield failed("convention", _SEED(generator=", ".join(same)), case=case, call=call)


def _told(state: Any) -> str:
    return str(
        state.tolist()
        if isinstance(state, Tensor)
        else [getattr(s, "tolist", lambda s=s: s)() for s in state]
    )


CHECK = Check(
    name="quiet",
    title=Text(en="prints nothing, leaves global settings alone", zh="不打印，不改动全局设置"),
    run=_run,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    def talking(x: Tensor, t: Tensor) -> Tensor:
        print("shape", tuple(x.shape))  # noqa: T201  the planted fault
        return F.mse_loss(x, t)

    return Subject(name="talking", call=talking, arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="mse", call=F.mse_loss, arguments=_PAIR)
