"""An optimiser of torch built again from its class, settings and state, over copies of the parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from losscope.core.text import Text
from losscope.objective.rebuild.refusal import NotRebuildable
from losscope.objective.rebuild.window import KeptOptimizer, KeptStep

_NOT_MADE = Text(
    en="the optimiser {name} cannot be made again: {error}", zh="无法重新创建优化器 {name}：{error}"
)


class ReplayedOptimizer:
    """``step`` is that of the run for ``steps[k]``, with rates times ``factor`` and settings ``replaced``.

    ``state=False`` begins without momentum and second moments, ``renewed=False`` never loses them. The last ``more``
    parameters are new to the optimiser: they get the settings of its first group.
    """

    def __init__(
        self,
        kept: KeptOptimizer,
        parameters: Sequence[Tensor],
        first: KeptStep,
        factor: float = 1.0,
        *,
        state: bool = True,
        renewed: bool = True,
        replaced: Mapping[str, Any] | None = None,
        more: int = 0,
    ) -> None:
        self._kept, self._parameters, self._factor = kept, list(parameters), factor
        self._renewed, self._replaced = renewed, dict(replaced or {})
        known = len(self._parameters) - more
        self._places = [*kept.places, *([tuple(range(known, known + more))] if more else [])]
        self._made = self._make(first)
        if state:
            for place, found in kept.state.items():
                self._made.state[parameters[place]] = {k: _own(v) for k, v in found.items()}

    def _make(self, step: KeptStep) -> torch.optim.Optimizer:
        groups = [
            {"params": [self._parameters[i] for i in places], **settings}
            for places, settings in zip(self._places, self._settings(step), strict=True)
        ]
        try:
            return self._kept.kind([g for g in groups if g["params"]], lr=step.settings[0].get("lr"))
        except Exception as error:
            name = self._kept.kind.__name__
            raise NotRebuildable(_NOT_MADE(name=name, error=f"{type(error).__name__}: {error}")) from error

    def step(self, gradients: Sequence[Tensor | None], kept: KeptStep) -> None:
        """One update with these gradients and the settings of that update."""
        if kept.renewed and self._renewed:
            self._made = self._make(kept)
        settings = [s for s, places in zip(self._settings(kept), self._places, strict=True) if places]
        for group, found in zip(self._made.param_groups, settings, strict=True):
            group.update({k: _own(v) for k, v in found.items()})
            group["lr"] = group["lr"] * self._factor
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.clone()
        self._made.step()
        for parameter in self._parameters:
            parameter.grad = None

    def _settings(self, step: KeptStep) -> list[dict[str, Any]]:
        """Those of every group at one update, with what is replaced in them."""
        groups = [*step.settings, *step.settings[:1] * (len(self._places) - len(step.settings))]
        return [group | {k: v for k, v in self._replaced.items() if k in group} for group in groups]


def _own(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
