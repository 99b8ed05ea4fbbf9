"""``backward-without-step``: gradients are computed again and again, and the optimiser never steps.

**What it says.** An optimiser was made for these parameters, backward passes give them gradients, and yet no step of
it was ever made: they keep the values they began with.

**Statistic.** None: twenty backward passes or more since the optimiser was made, no step of it, its parameters
have gradients and are the same, by version, address and value, look after look; and these gradients were thrown away
at nine tenths of the passes, or the script came to its end. *Error* where nothing else was updated, *warning* where
other optimisers stepped meanwhile.

**Source.** ``torch.Tensor.backward`` only writes ``.grad``; ``torch.optim.Optimizer.step`` changes parameters.

**Example.** ``optimizer.zero_grad(); loss.backward()`` in a loop without ``optimizer.step()``; or two optimisers, one
for the encoder and one for the decoder, of which only one is stepped.

**Remedy.** Call ``optimizer.step()`` after ``loss.backward()``.

**False alarms.** Silent on accumulation, also over the whole data; on analyses (saliency, gradient norms), which make
no optimiser or load its state; on updates by hand or by another optimiser over the same parameters; on parameters
that get no gradient.
"""

from typing import Any

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PARAMETERS, PLACE, falling, record
from losscope.rules.reach import shorten
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import streams, where

_LEAST = 20
_THROWN_AWAY = 0.9
_TITLE = Text(
    en="{backwards} backward passes and not one step of {name}: the parameters never change",
    zh="{backwards} 次反向传播，而 {name} 一次也没有更新：参数从未改变",
)
_TITLE_ONE = Text(
    en="{name} over {names} never steps, though its parameters get gradients",
    zh="持有 {names} 的 {name} 从未更新，尽管其参数得到了梯度",
)
_EVIDENCE = Text(
    en="{backwards} backward passes since it was made, 0 steps; {names} unchanged",
    zh="创建以来 {backwards} 次反向传播，0 次更新；{names} 未变",
)
_EXPECTED = Text(
    en="a step after every backward pass, or every few", zh="每次或每几次反向传播之后都应更新一次"
)
_REMEDY = Text(
    en="Call step() of the {name} optimiser after loss.backward().",
    zh="在 loss.backward() 之后调用 {name} 优化器的 step()。",
)


def judge(recording: Recording) -> Outcome:
    last: dict[Any, dict[str, Any]] = {e.get("number"): e for e in recording.events_of("unstepped")}
    ends = recording.events_of("script-end")
    finished = bool(ends) and ends[-1].get("status") in {"finished", "exit"}
    found = [e for e in last.values() if _forgotten(e, finished)]
    if not found:
        return []
    return [_finding(max(found, key=lambda e: int(e["backwards"])), trains=bool(streams(recording)))]


def _forgotten(event: dict[str, Any], finished: bool) -> bool:
    backwards = int(event.get("backwards") or 0)
    return backwards >= _LEAST and (finished or int(event.get("cleared") or 0) >= _THROWN_AWAY * backwards)


def _finding(event: dict[str, Any], *, trains: bool) -> Finding:
    backwards, name = int(event["backwards"]), str(event.get("name", "?"))
    names = shorten(tuple(str(n) for n in event.get("parameters") or ()))
    evidence = Evidence(
        text=_EVIDENCE(backwards=backwards, names=names),
        signal=signals.BACKWARDS.name,
        label="",
        value=float(backwards),
        expected=_EXPECTED(),
    )
    title = _TITLE_ONE(name=name, names=names) if trains else _TITLE(backwards=backwards, name=name)
    return RULE.finding(
        title=title,
        severity="warning" if trains else "error",
        confidence=0.8 if trains else 0.95,
        evidence=(evidence,),
        remedy=_REMEDY(name=name),
        where=where(event),
    )


RULE = Rule(
    code="backward-without-step",
    severity="error",
    title=Text(en="Gradients are computed, but no step is made", zh="计算了梯度却从未更新"),
    judge=judge,
    consequences=("learning-rate-too-low", "loss-at-chance", "plateau-above-floor"),
)


def _unstepped(number: int, backwards: int) -> dict[str, Any]:
    return {
        "kind": "unstepped",
        "number": number,
        "backwards": backwards,
        "cleared": backwards,
        "name": "Adam",
        "updates": 0,
        "parameters": list(PARAMETERS),
        "where": PLACE,
    }


def broken() -> Recording:
    """The step was forgotten: 600 backward passes and no update, hence no curve."""
    events = [{"kind": "run-start", "argv": ["train.py"]}, _unstepped(1, 600)]
    return Recording.from_memory({}, [*events, {"kind": "script-end", "status": "finished"}], {})


def healthy() -> Recording:
    """The optimiser of a second phase: it stood by for 320 passes, and then stepped."""
    return record(falling(), events=[_unstepped(2, 320), {"kind": "unstepped", "number": 2, "backwards": 0}])
