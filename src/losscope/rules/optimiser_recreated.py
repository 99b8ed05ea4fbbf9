"""``optimiser-recreated``: a new optimiser again and again, so that momentum and averages are always lost.

**What it says.** The script makes a new optimiser over the same parameters every update or every few updates. Its
state (momentum, the averages of Adam) starts from nothing each time: momentum has no effect, and Adam moves every
weight by ± the learning rate, whatever the size of its gradient.

**Statistic.** Updates between two losses of state, against the memory 1 / (1 - β) of the optimiser's averages. A
loss of state is exact: an object with a state gave way to one without, made by the same line, and nothing had written
to the parameters in between. *Error* where the median life, over ten losses at least, is no longer than the shortest
memory (10 updates at β = 0.9); *warning* where it is within the longest one (1000 at β = 0.999), five times at least,
at one learning rate. The lives must make up four fifths of the run.

**Source.** Kingma and Ba (2015), Algorithm 1: m₀ = v₀ = 0, and at t = 1 the step is lr · g / |g|.

**Example.** ``optimizer = torch.optim.AdamW(model.parameters())`` inside the loop over batches. The training loss
falls all the same.

**Remedy.** Make the optimiser once, before the loop.

**False alarms.** Silent on plain gradient descent, which has no state; on a new optimiser for each phase, fold or
model; on state that is loaded again; on loops that put the weights back before (test-time adaptation, Reptile,
federated clients); on L-BFGS and other optimisers that are given a closure; on several optimisers in turn.
"""

import numpy as np

from losscope.core.finding import Evidence, Severity
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PLACE, every, falling, optimizer, record
from losscope.rules.reasons import MIN_UPDATES, no_loss, too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.robust import Floats
from losscope.rules.streams import events_of, line_of, streams, updates, values

_USUAL_MEMORY = (10.0, 1000.0)  # of β₁ = 0.9 and β₂ = 0.999
_COVERED = 0.8
_SHORT_LIVES, _LONG_LIVES = 10, 5
_TITLE_EVERY = Text(
    en="A new optimiser is made at every update: {name} never keeps its state",
    zh="每次更新都新建优化器：{name} 的状态从未保留",
)
_TITLE = Text(
    en="A new optimiser is made every {life:.0f} updates: {name} loses its state each time",
    zh="每 {life:.0f} 次更新就新建一个优化器：{name} 每次都丢失状态",
)
_EVIDENCE = Text(
    en="{count} times a new object took over with no state; one lived {life:.0f} updates (median), "
    "its averages reach back over {short:.0f} to {long:.0f}",
    zh="{count} 次由没有状态的新对象接手；每个对象存活 {life:.0f} 次更新（中位数），"
    "其滑动平均的记忆为 {short:.0f} 至 {long:.0f} 次",
)
_EXPECTED = Text(en="one optimiser for the whole training", zh="整个训练只用一个优化器")
_REMEDY = Text(
    en="Make the optimiser once, before the training loop: optimizer = torch.optim.{name}(model.parameters(), …).",
    zh="在训练循环之前只创建一次优化器：optimizer = torch.optim.{name}(model.parameters(), …)。",
)


def judge(recording: Recording) -> Outcome:
    found = streams(recording)
    if not found:
        return no_loss()
    most = max(updates(recording, stream) for stream in found)
    for stream in found:
        lives = values(recording, signals.OPTIMIZER_LIFE, stream)
        told = events_of(recording, "optimizer-replaced", stream)
        memory = [float(m) for event in told[:1] for m in event.get("memory") or ()] or list(_USUAL_MEMORY)
        severity = _severity(recording, stream, lives, memory)
        if severity is None:
            continue
        life, name = float(np.median(lives)), str(told[0].get("name", "")) if told else "the optimiser"
        evidence = Evidence(
            text=_EVIDENCE(count=len(lives), life=life, short=memory[0], long=memory[-1]),
            signal=signals.OPTIMIZER_LIFE.name,
            label=stream,
            value=life,
            expected=_EXPECTED(),
        )
        return [
            RULE.finding(
                title=_TITLE_EVERY(name=name) if life < 2 else _TITLE(life=life, name=name),
                severity=severity,
                confidence=0.97 if severity == "error" else 0.75,
                evidence=(evidence,),
                remedy=_REMEDY(name=name),
                where=line_of(recording, stream, "optimizer-replaced"),
            )
        ]
    return [] if most >= MIN_UPDATES else too_few(most)


def _severity(recording: Recording, stream: str, lives: Floats, memory: list[float]) -> Severity | None:
    if lives.size < _LONG_LIVES or lives.sum() < _COVERED * updates(recording, stream) - lives.max():
        return None
    life = float(np.median(lives))
    if life <= memory[0]:
        return "error" if lives.size >= _SHORT_LIVES else None
    return "warning" if life <= memory[-1] and _one_rate(recording, stream) else None


def _one_rate(recording: Recording, stream: str) -> bool:
    """No learning rate changed: making an optimiser anew is one way to do that."""
    labels = [label for label in recording.labels(signals.LEARNING_RATE) if label.split("/")[0] == stream]
    rates = [values(recording, signals.LEARNING_RATE, label) for label in labels]
    return all(found.min() == found.max() for found in rates if found.size)


RULE = Rule(
    code="optimiser-recreated",
    severity="error",
    title=Text(en="The optimiser is made anew again and again", zh="优化器被反复重新创建"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "diverging-loss",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "oscillating-loss",
        "plateau-above-floor",
    ),
)


def _replaced(life: int) -> dict[str, object]:
    return {
        "kind": "optimizer-replaced",
        "stream": "0",
        "step": life,
        "name": "AdamW",
        "memory": [10.0, 1000.0],
        "where": PLACE,
    }


def broken() -> Recording:
    """AdamW made inside the loop over batches."""
    lives = every(1, 600, 1.0)
    series = {(signals.OPTIMIZER_LIFE, "0"): (lives[0][1:], lives[1][1:])}
    return record(falling(), series=series, events=[optimizer(), _replaced(1)])


def healthy() -> Recording:
    """Three phases, each with an optimiser of its own."""
    series = {(signals.OPTIMIZER_LIFE, "0"): (np.array([200, 400]), np.array([200.0, 200.0]))}
    return record(falling(), series=series, events=[optimizer(), _replaced(200)])
