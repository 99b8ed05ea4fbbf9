"""The examination at the end of a run: the objective is rebuilt, proved, examined, and the result stored."""

import json
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from losscope.core.errors import LosscopeError
from losscope.core.files import write_atomically
from losscope.core.text import Language, Message, Text
from losscope.examination.examine import Progress, examine
from losscope.objective.objective import Objective
from losscope.objective.rebuild.rebuild import Rebuilt, rebuild
from losscope.objective.rebuild.refusal import NotRebuildable
from losscope.objective.rebuild.update import KeptUpdate
from losscope.operators.optimiser_step import Step
from losscope.recording.examination_file import FILE

_GRADIENTS = 100  # the least number of gradients of the objective that should fit into the time

_NEVER = Text(
    en="no update after the first was seen whole: too few updates, or their loss belongs to no module",
    zh="首次更新之后没有完整看到任何一次更新：更新太少，或损失不属于任何模块",
)
_REBUILT = Text(
    en="rebuilt from {updates} watched updates and proved on update {step}: value and gradient are those that were "
    "seen",
    zh="由观察到的 {updates} 次更新重建，并在第 {step} 次更新上验证：损失值与梯度均与实际一致",
)
_AT_END = Text(en="the parameters are those at the end of the run", zh="参数为运行结束时的参数")
_AT_UPDATE = Text(
    en="the model was gone when the script ended: the parameters are those of update {step} of {made}",
    zh="脚本结束时模型已不存在：参数为第 {step} 次更新时的参数（共 {made} 次）",
)
_EARLIER = Text(
    en="At update {step} of {made}, not at the end: {sentence}",
    zh="在第 {step} 次更新时（共 {made} 次），并非结束时：{sentence}",
)
_SCALED = Text(
    en="the gradient that was used is the loss's own times {scale:.3g} (clipping or a loss scale)",
    zh="实际使用的梯度是损失梯度的 {scale:.3g} 倍（裁剪或损失缩放）",
)
_DECAY = Text(
    en="the optimiser's weight decay of {decay} counts as a penalty ½λ‖θ‖²",
    zh="优化器的权重衰减 {decay} 计为惩罚项 ½λ‖θ‖²",
)
_DECOUPLED = Text(
    en="the optimiser's decoupled weight decay of {decay} is left out: it is not the gradient of a penalty",
    zh="优化器的解耦权重衰减 {decay} 未计入：它不是任何惩罚项的梯度",
)
_FAULT = Text(en="a fault of losscope's own: {error}", zh="losscope 自身的故障：{error}")
_FAILED = Text(en="{why}", zh="{why}")


class KeeperLike(Protocol):
    """What the watch kept."""

    updates: list[KeptUpdate]
    why: Message | None
    taken: Step | Message | None
    made: int

    @property
    def decoupled(self) -> tuple[float, ...]: ...

    def catch_up(self) -> int | None: ...


def after_run(keeper: KeeperLike, folder: Path, seconds: float, progress: Progress | None = None) -> None:
    """Write ``examination.json`` into the run folder, whatever comes of it, within about ``seconds``."""
    deadline = time.perf_counter() + seconds
    try:
        document = _examined(keeper, deadline, progress)
    except NotRebuildable as refusal:
        document = refused(refusal.why)
    except LosscopeError as error:
        document = refused(_FAILED(why=str(error)))
    except Exception as error:
        _write(folder, refused(_FAULT(error=f"{type(error).__name__}: {error}")))
        raise  # it is recorded as a fault
    _write(folder, document)


def _write(folder: Path, document: dict[str, Any]) -> None:
    text = json.dumps(document, ensure_ascii=False, indent=2, default=str)
    write_atomically(folder / FILE, text + "\n")


def _examined(keeper: KeeperLike, deadline: float, progress: Progress | None) -> dict[str, Any]:
    if not keeper.updates:
        raise NotRebuildable(keeper.why or _NEVER())
    left = deadline - time.perf_counter()
    forward = sum(call.seconds for call in keeper.updates[-1].calls)
    most = max(1, min(len(keeper.updates), int(left / (_GRADIENTS * 3 * max(forward, 1e-6)))))
    rebuilt = rebuild(keeper.updates, most)
    at = keeper.catch_up()
    objective, step, said = rebuilt.objective, None, []
    if isinstance(keeper.taken, Step):
        step = _step_of(keeper.taken, rebuilt, keeper.updates[-1])
        objective, said = _with_decay(objective, step)
    elif keeper.taken is not None:
        said = [both(keeper.taken)]
    if keeper.decoupled:
        said.append(both(_DECOUPLED(decay=_range(keeper.decoupled))))
    found = examine(
        objective,
        max(0.0, deadline - time.perf_counter()),
        optimizer=step if step is not None and rebuilt.scale == 1.0 else None,
        progress=progress,
    )
    document = found.to_json() | {"examined": True, "objective": [*_said(rebuilt, at, keeper.made), *said]}
    return document if at is None else _earlier(document, at, keeper.made)


def _earlier(document: dict[str, Any], step: int, made: int) -> dict[str, Any]:
    """The first sentence speaks of an update before the end, and says so."""

    def told(sentence: str, language: Language) -> str:
        return _EARLIER(step=step, made=made, sentence=sentence).render(language)

    words = {
        language: own | {"sentence": told(own["sentence"], language)}
        for language, own in document["words"].items()
    }
    return document | {"words": words, "sentence": words["en"]["sentence"]}


def _step_of(taken: Step, rebuilt: Rebuilt, update: KeptUpdate) -> Step | None:
    """The step for the objective's parameters; ``None`` where none of these moves."""
    places = {id(p): i for i, p in enumerate(update.parameters)}
    try:
        return taken.at([places.get(id(p)) for p in rebuilt.objective.parameters])
    except LosscopeError:
        return None


def _with_decay(objective: Objective, step: Step | None) -> tuple[Objective, list[dict[str, str]]]:
    """The objective with the decay that the optimiser adds to the gradient, which is that of ½λ‖θ‖²."""
    if step is None or not any(step.decays):
        return objective, []
    given, names = objective.whole.penalty, objective.names
    decays = {name: decay for name, decay in zip(names, step.decays, strict=True) if decay}

    def penalty(model: nn.Module) -> Tensor:
        present = dict(model.named_parameters())
        own = torch.stack(
            [0.5 * decay * present[name].square().sum() for name, decay in decays.items()]
        ).sum()
        return own if given is None else own + given(model)

    whole = objective.whole
    found = Objective(whole.model, whole.loss, objective.batches, penalty, seed=objective.seed)
    return found, [both(_DECAY(decay=_range(decays.values())))]


def _range(values: Collection[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g}-{high:g}"


def _said(rebuilt: Rebuilt, at: int | None, made: int) -> list[dict[str, str]]:
    messages = [
        _REBUILT(updates=rebuilt.updates, step=rebuilt.step),
        _AT_END() if at is None else _AT_UPDATE(step=at, made=made),
    ]
    if rebuilt.scale != 1.0:
        messages.append(_SCALED(scale=rebuilt.scale))
    return [both(message) for message in messages]


def refused(why: Message) -> dict[str, Any]:
    """The document that says why there is no examination."""
    return {"schema": 1, "examined": False, "why": both(why)}


def both(message: Message) -> dict[str, str]:
    """A message in both languages."""
    return {"en": message.render("en"), "zh": message.render("zh")}


AFTER_RUN = after_run
