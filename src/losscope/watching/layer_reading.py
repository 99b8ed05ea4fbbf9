"""Layers are read off the graph at some of the deep samples: the first ones, and where modes seem to have changed."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor

from losscope.anatomy.anatomy import Anatomy
from losscope.anatomy.layers import layers_below
from losscope.probes.probe import Sample
from losscope.watching.modes import Modes
from losscope.watching.naming import Names
from losscope.watching.outlet import Outlet


class LayerReading:
    """Attaches :class:`Layers` to anatomies while their graph is alive, and the modes of layers to samples."""

    def __init__(self, outlet: Outlet, names: Names) -> None:
        self.modes: Modes | None = None
        self._outlet, self._names = outlet, names
        self._off = False
        self._calls = (0, 0, 0, 0)

    def turned(self) -> bool:
        """A sample begins. Whether all layers with a mode evaluate since the last one, or no longer do."""
        if self.modes is None:
            return False
        self._calls, turned = self.modes.look()
        return turned

    def add(self, anatomy: Anatomy, root: Tensor) -> Anatomy:
        """The anatomy with its layers, before the backward pass of ``root``."""
        if self._off:
            return anatomy
        try:
            return replace(anatomy, layers=layers_below(root))
        except Exception as error:  # noqa: BLE001  a fault of ours: the rest goes on
            self._off = True
            self._outlet.event("fault", where="layers", error=f"{type(error).__name__}: {error}")
            return anatomy

    def fill(self, sample: Sample) -> None:
        """Modes, for a sample whose graph was walked."""
        sample.dropouts = self._calls[:2]
        sample.eval_in_train = partial(self._alone, sample.parameters)

    def _alone(self, parameters: Sequence[Tensor]) -> bool:
        return self._names.modes(parameters).alone
