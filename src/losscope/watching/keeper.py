"""Keeps now and then one update whole, so that its objective can be rebuilt when the script has ended.

Of the updates that follow a deep sample some are kept, at steps that grow by a fifth: copies of the modules and
their inputs, how the loss comes of them, and norms of the gradient to check it all by. The model is often gone when a
script ends (it was a local variable of ``main``), therefore copies; none of the user's objects is kept alive. The last
values of the parameters are known all the same, see `last_state`. See docs/decisions/0008.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from losscope.core.errors import LosscopeError, NotReadable
from losscope.core.text import Message, Text
from losscope.objective.rebuild.refusal import NotRebuildable
from losscope.objective.rebuild.update import KeptUpdate, Root, gradient_figures
from losscope.watching.kept_roots import kept_root
from losscope.watching.last_state import LastState
from losscope.watching.outer_calls import OuterCalls

if TYPE_CHECKING:
    from losscope.operators.optimiser_step import Step

_GROWTH = 1.2  # of the step, from one update kept to the next
_MOST_UPDATES = 8

COMPILED = Text(
    en="parts of the script are compiled by torch.compile", zh="脚本的一部分由 torch.compile 编译"
)
_FAULT = Text(en="a fault of losscope: {error}", zh="losscope 自身的错误：{error}")
_SPARSE = Text(en="a gradient is sparse", zh="有稀疏梯度")
_NO_GRADIENT = Text(
    en="the gradient was not in .grad when the parameters changed", zh="参数改变时梯度不在 .grad 中"
)
_NO_STEP = Text(en="the optimiser's step: {why}", zh="优化器的步长：{why}")
_SEVERAL = Text(
    en="{count} objectives are minimised in turn, by optimisers of their own",
    zh="共有 {count} 个目标由各自的优化器轮流最小化",
)


@dataclass(eq=False)
class Keeper:
    """``updates`` that were kept, the last with its modules; ``last`` knows what became of its tensors.

    ``decoupled`` are the weight decays that no term of the objective has for its gradient.
    ``taken`` is the optimiser's step for its parameters, or why that cannot be read. ``made`` is how many updates there
    were in all.
    """

    updates: list[KeptUpdate] = field(default_factory=list)
    last: LastState | None = None
    decoupled: tuple[float, ...] = ()
    why: Message | None = None
    taken: "Step | Message | None" = None
    made: int = 0
    wanted: bool = False
    _calls: OuterCalls | None = None
    _roots: list[Root] = field(default_factory=list)
    _for: tuple[str, int] = ("", -1)
    _next: float = 0.0
    _streams: set[str] = field(default_factory=set)

    def arm(self, stream: str, step: int) -> None:
        """Update ``step`` of a stream comes next; keep it, if it is due."""
        if not self.wanted:
            return
        self._streams.add(stream)
        if self._calls is not None and self._for == (stream, step) and not self._roots:
            return
        self.drop()
        self._for = (stream, step)
        if len(self._streams) > 1:
            self._refuse(_SEVERAL(count=len(self._streams)))
        elif step >= self._next:
            self._next = _GROWTH * step + 1
            if compiled():
                self._refuse(COMPILED())
                return
            self._calls = OuterCalls()
            self._calls.install()

    def begins(self) -> bool:
        """The first backward of an update; whether :meth:`renew` is due.

        Should an update before it still be under way, its gradient was never seen.
        """
        if self._roots:
            self.drop()
        if self.last is None:
            return False
        with torch._C.DisableTorchFunction():
            return self.last.moved()

    def renew(self, step: int) -> None:
        """Parameters lie elsewhere than before."""
        if self.last is not None:
            self.last.renew(step)

    @property
    def armed(self) -> bool:
        return self._calls is not None

    def root(self, root: Tensor, scale: float, frame: FrameType | None) -> None:
        """A backward begins at ``root``, in an update that is to be kept."""
        calls = self._calls
        if calls is None:
            return
        try:
            self._roots.append(kept_root(calls, root, scale, frame))
        except NotReadable:
            self.drop()
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            self._refuse(reason(error))

    def finish(self, stream: str, step: int, optimizer: Any = None) -> None:
        """The gradient stands in ``.grad``: the update is complete, or of no use."""
        calls, roots = self._calls, self._roots
        if calls is None:
            return
        if calls.failed is not None:
            self._refuse(reason(calls.failed))
            return
        try:
            if roots and calls.calls:
                update = KeptUpdate(stream, step, calls.parts, list(calls.calls), list(roots))
                self._keep(update, calls, optimizer)
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            self._refuse(reason(error))
        self.drop()

    def _keep(self, update: KeptUpdate, calls: OuterCalls, optimizer: Any) -> None:
        pairs = calls.replica.pairs
        trained = [(p, c) for p, c in pairs if isinstance(c, nn.Parameter) and c.requires_grad]
        if not any(p.grad is not None for p, _ in trained):
            raise NotRebuildable(_NO_GRADIENT())
        if any(p.grad is not None and p.grad.is_sparse for p, _ in trained):
            raise NotRebuildable(_SPARSE())
        with torch.no_grad():
            update.gradient = gradient_figures([(c, p.grad) for p, c in trained])
        update.parameters = [c for _, c in trained if isinstance(c, nn.Parameter)]
        if self.updates:
            self.updates[-1].parts, self.updates[-1].parameters = [], []
        self.updates = [*self.updates, update][-_MOST_UPDATES:]
        self.last = LastState(pairs, optimizer, update.step)
        groups = getattr(optimizer, "param_groups", ())
        decays = {_decoupled(group, type(optimizer).__name__) for group in groups if group["params"]}
        self.decoupled = tuple(sorted(decays - {0.0}))
        self.taken = None if optimizer is None else _step(optimizer, [p for p, _ in trained])
        self.why = None

    def drop(self) -> None:
        """Let go of the update under way."""
        if self._calls is not None:
            self._calls.remove()
            self._calls.replica.release()
        self._calls, self._roots = None, []

    def take_seconds(self) -> float:
        """Seconds that the hooks took since this was last asked."""
        if self._calls is None:
            return 0.0
        seconds, self._calls.seconds = self._calls.seconds, 0.0
        return seconds

    def _refuse(self, why: Message) -> None:
        """Nothing of an update that cannot be kept; what was kept before it is out of date."""
        self.why, self.updates, self.last = why, [], None
        self.drop()

    def catch_up(self) -> int | None:
        """Put the last values of the parameters into the copies; of which update: ``None``, of the end of the run.

        ``taken`` becomes the step that would come next there.
        """
        if self.last is None:
            return None
        step = self.last.take()
        if step is None and self.last.optimizer is not None:
            self.taken = _step(self.last.optimizer, self.last.trained)
        return step


def _decoupled(group: Mapping[str, Any], kind: str) -> float:
    """The decay that is taken off the weights beside the gradient, as of AdamW."""
    own = kind in ("AdamW", "Muon") or group.get("decoupled_weight_decay")
    return float(group.get("weight_decay") or 0.0) if own else 0.0


def _step(optimizer: Any, trained: Sequence[Tensor]) -> "Step | Message":
    """The step of an optimiser for the trained parameters, or why it is not known."""
    from losscope.operators.optimiser_step import read_step  # lazy: only where updates are kept

    try:
        with torch.no_grad():
            return read_step(optimizer, trained, [str(i) for i in range(len(trained))])
    except LosscopeError as error:
        return _NO_STEP(why=str(error))


def reason(error: Exception) -> Message:
    if isinstance(error, NotRebuildable):
        return error.why
    return _FAULT(error=f"{type(error).__name__}: {error}")


def compiled() -> bool:
    """Whether torch.compile was used so far: hooks for all modules would be seen by what it compiles next."""
    frames = sys.modules.get("torch._dynamo.convert_frame")
    frame_evaluation = sys.modules.get("torch._dynamo.eval_frame")
    backends = getattr(frame_evaluation, "cached_backends", {})
    return bool(getattr(frames, "FRAME_COUNTER", 0)) or any(b is not None for b in backends.values())
