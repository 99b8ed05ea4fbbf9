"""The last values of parameters whose model is gone when the script ends, at no cost per update.

Of parameters on the CPU only: the memory of an accelerator is scarce, and a script that deletes a model shall have it.
A model is often a local variable of ``main``. None of the user's objects is kept alive; but for each parameter
and buffer a second tensor of ours looks into the same storage, so that optimisers, which write in place, write there as
well. That costs no copy while the model lives; when it is deleted its storages stay, as much memory as a copy takes.
Where code puts a parameter into another storage (``p.data = …``, ``model.to``), ours is out of date: at
every look one tensor is compared, in turn, and all are taken anew where it has moved.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from losscope.watching.weak_tensors import TensorRef, weak

# Second moments of Adam, RMSprop, Adagrad and their like, and what corrects them.
_DIVISORS = ("step", "exp_avg_sq", "max_exp_avg_sq", "square_avg", "grad_avg", "sum")


class LastState:
    """``pairs`` are (the user's tensor, its copy of update ``step``), in whose places the last values are put."""

    def __init__(self, pairs: Sequence[tuple[Tensor, Tensor]], optimizer: Any, step: int) -> None:
        self.pairs: list[tuple[TensorRef, Tensor]] = [(weak(original), copy) for original, copy in pairs]
        self.step = step
        at_home = all(original.device.type == "cpu" for original, _ in pairs)
        self._inside = [original.detach() for original, _ in pairs] if at_home else []
        self._addresses = [_address(original) for original, _ in pairs]
        self._moved: int | None = None  # the update at which a tensor had moved, when last looked at
        self._broken = not at_home
        self._turn = 0
        self._optimizer = _weakly(optimizer)
        self.held = self._inside  # ours, as the optimiser below knows them
        self.optimizer = self._shadow(optimizer) if at_home else None

    def moved(self) -> bool:
        """One tensor in turn: whether it lies elsewhere by now, so that :meth:`renew` is due."""
        if self._broken or not self.pairs:
            return False
        self._rates()
        self._turn = (self._turn + 1) % len(self.pairs)
        original = self.pairs[self._turn][0]()
        if original is None:  # another tensor took its place, which nobody knows
            self._broken, self._inside = True, []
            return False
        if _address(original) != self._addresses[self._turn]:
            return True
        self._moved = None
        return False

    def renew(self, step: int) -> None:
        """Look into the storages in which the tensors are before update ``step``."""
        originals = [ref() for ref, _ in self.pairs]
        if any(original is None for original in originals):
            self._broken, self._inside = True, []
            return
        self._inside = [original.detach() for original in originals]
        self._addresses = [_address(original) for original in originals]
        self._moved = step
        self._again(self._optimizer())

    def take(self) -> int | None:
        """Put the last values known into the copies; of which update they are, ``None``: of the end of the run."""
        found, step = self._last_values()
        if found is None or any(
            f.shape != copy.shape or not _whole(f) for f, (_, copy) in zip(found, self.pairs, strict=True)
        ):
            return self.step
        with torch.no_grad():
            for value, (_, copy) in zip(found, self.pairs, strict=True):
                copy.copy_(value.detach())
        self._again(self._optimizer())
        return step

    def _last_values(self) -> tuple[list[Tensor] | None, int | None]:
        originals = [ref() for ref, _ in self.pairs]
        gone = [original is None for original in originals]
        if not any(gone):
            return originals, None
        # A buffer that is gone beside parameters that live was replaced by another.
        replaced = any(
            g and not isinstance(c, nn.Parameter) for g, (_, c) in zip(gone, self.pairs, strict=True)
        )
        if self._broken or (replaced and not all(gone)):
            return None, self.step
        values = [i if o is None else o for o, i in zip(originals, self._inside, strict=True)]
        return values, self._moved

    # --- the optimiser ----------------------------------------------------------------------------
    @property
    def trained(self) -> list[Tensor]:
        """The trained parameters, in order, as ``optimizer`` holds them."""
        return [
            held
            for held, (_, copy) in zip(self.held, self.pairs, strict=True)
            if isinstance(copy, nn.Parameter) and copy.requires_grad
        ]

    def _again(self, optimizer: Any) -> None:
        """Its state may have been replaced, as by ``load_state_dict``."""
        if not self._broken and optimizer is not None and all(ref() is not None for ref, _ in self.pairs):
            self.held = self._inside
            self.optimizer = self._shadow(optimizer)

    def _shadow(self, optimizer: Any) -> Any:
        """An optimiser of the same class that holds our tensors, and looks into the storages of its state."""
        if not isinstance(optimizer, torch.optim.Optimizer):
            return None
        ours = {id(ref()): inside for (ref, _), inside in zip(self.pairs, self.held, strict=True)}
        groups, state = [], {}
        for group in optimizer.param_groups:
            known = [p for p in group["params"] if id(p) in ours]
            groups.append(_plain(group) | {"params": [ours[id(p)] for p in known]})
            for p in known:
                state[ours[id(p)]] = _needed(optimizer.state.get(p, {}))
        new = object.__new__(type(optimizer))
        new.__dict__.update(param_groups=groups, state=state, defaults={})
        return new

    def _rates(self) -> None:
        """Rates and momentum as they are now: schedulers write them into the param groups."""
        optimizer = self._optimizer()
        if optimizer is None or self.optimizer is None:
            return
        for ours, theirs in zip(self.optimizer.param_groups, optimizer.param_groups, strict=False):
            ours.update(_plain(theirs))


def _weakly(thing: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(thing)
    except TypeError:
        return lambda: None


def _plain(group: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a param group."""
    kinds = (int, float, str, tuple, Tensor, type(None))
    return {
        name: v.detach() if isinstance(v, Tensor) else v for name, v in group.items() if isinstance(v, kinds)
    }


def _needed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Of one parameter's state what a rate is divided by; momentum is not kept alive."""
    found = {name: state[name] for name in _DIVISORS if name in state}
    return {name: v.detach() if isinstance(v, Tensor) else v for name, v in found.items()}


def _address(tensor: Tensor) -> int:
    return tensor.data_ptr()


def _whole(tensor: Tensor) -> bool:
    """Whether the storage still reaches as far as the tensor: it may have been given back (``resize_(0)``)."""
    if not tensor.numel():
        return True
    last = tensor.storage_offset() + sum(
        (n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True)
    )
    return (last + 1) * tensor.element_size() <= tensor.untyped_storage().nbytes()
