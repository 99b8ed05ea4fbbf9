"""The loss says nothing on stdout or stderr at every call, and does not change global settings.

A print in a loss floods the log of a training run; a changed default dtype, number of threads or grad mode changes
code that has nothing to do with the loss. Both are conventions; a changed random seed is one as well, for it makes
every run draw the same dice.
"""

import contextlib
import io
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed
from losscope.checks.subject import Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_PRINTS = Text(en="it prints at every call: {text!r}", zh="每次调用都会打印：{text!r}")
_SETTING = Text(
    en="a call changes {what} from {before} to {after}", zh="一次调用把 {what} 从 {before} 改为 {after}"
)
_SEED = Text(
    en="a call sets the random seed: the same dice are drawn after every call",
    zh="一次调用会重设随机种子：此后每次抽取的随机数都相同",
)
_PASS = Text(en="silent, and leaves global settings alone", zh="不打印，也不改动全局设置")


def _settings() -> dict[str, object]:
    return {
        "the default dtype": torch.get_default_dtype(),
        "the number of threads": torch.get_num_threads(),
        "grad mode": torch.is_grad_enabled(),
        "anomaly mode": torch.is_anomaly_enabled(),
        "deterministic mode": torch.are_deterministic_algorithms_enabled(),
    }


def _run(subject: Subject) -> Iterator[Result]:
    case = subject.case(0)
    subject(*case)  # what is said once, at the first call, is no flood
    out, before = io.StringIO(), _settings()
    state = torch.get_rng_state()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        subject(*case)
        subject(*case)
    after = _settings()
    found = False
    text = out.getvalue().strip()
    if text and len(text.splitlines()) >= 2:
        found = True
        yield failed("convention", _PRINTS(text=text.splitlines()[0][:80]), case=case, seen="output")
    for what, value in before.items():
        if after[what] != value:
            found = True
            yield failed("convention", _SETTING(what=what, before=value, after=after[what]), case=case)
    if _seeds(subject, case):
        found = True
        yield failed("convention", _SEED(), case=case)
    torch.set_rng_state(state)
    if not found:
        yield passed(_PASS)


def _seeds(subject: Subject, case: tuple[Tensor, ...]) -> bool:
    states = []
    for seed in (11, 12):
        torch.manual_seed(seed)
        subject(*case)
        states.append(torch.get_rng_state())
    return torch.equal(states[0], states[1])


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
