"""Mixed precision: ``GradScaler`` multiplies the loss; its factor must not appear in what is recorded."""

import weakref
from typing import Any

from torch import Tensor

from losscope.watching.values import scalar


class LossScale:
    """Knows which root is a scaled loss, and by what."""

    def __init__(self) -> None:
        self._scaled: tuple[weakref.ref[Tensor], Any] | None = None
        self._scaler: weakref.ref[Any] | None = None

    @property
    def used(self) -> bool:
        """Whether the script scales its loss."""
        return self._scaled is not None

    def note(self, result: Any, scaler: Any) -> bool:
        """``scaler.scale`` returned ``result``; true when that is a loss which was scaled."""
        if not (isinstance(result, Tensor) and result.numel() == 1 and scaler.is_enabled()):
            return False
        factor = scaler._scale  # get_scale() would wait for the device
        if not isinstance(factor, Tensor) or factor.is_cpu:
            factor = float(scaler.get_scale())
        self._scaled = (weakref.ref(result), factor)
        if self._scaler is None or self._scaler() is not scaler:
            self._scaler = weakref.ref(scaler)
        return True

    def in_gradients(self) -> bool:
        """Whether the factor still stands in the gradients: no ``unscale_`` since the scaler's last update."""
        scaler = self._scaler() if self._scaler is not None else None
        if scaler is None:
            return False
        states = scaler._per_optimizer_states.values()
        return not any(getattr(state.get("stage"), "name", "") == "UNSCALED" for state in states)

    def of(self, root: Any) -> Any:
        """The factor in ``root``, a number or a tensor on its device; 1 for what was not scaled."""
        return self._scaled[1] if self._scaled is not None and self._scaled[0]() is root else 1.0

    def total(self, outputs: Any) -> Any:
        """The sum of the roots of one backward, factors taken out; None where none is a number."""
        values = [(scalar(root), self.of(root)) for root in outputs]
        known = [value / scale for value, scale in values if value is not None]
        return sum(known[1:], start=known[0]) if known else None
