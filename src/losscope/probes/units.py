"""Units: those that are dead or saturated, those that are alike, and what their layers' weights and inputs measure.

A unit is *dead* where its ReLU gives 0 for all samples and its incoming weights get no gradient, at three samples in a
row: the first alone is also true of rare features, the second also behind weights of zero. Units are *alike* where the
rows of their weights are the same; then their gradients are, and they stay so.

Cost: a few reductions over the weights that were found, at samples that walk the graph; rows are compared until they
differ. No synchronisation.
"""

import torch
from torch import Tensor

from losscope.anatomy.layers import LayerInput, Units
from losscope.probes.probe import Probe, Sample
from losscope.recording import signals

_IN_A_ROW = 3
_COMPARED = 12  # samples at which rows are compared


class UnitStates(Probe):
    """Records UNITS_DEAD, UNITS_SATURATED, UNITS_ALIKE, LAYER_INPUT, LAYER_GAIN and INPUT_*."""

    def __init__(self) -> None:
        self._streaks: dict[str, Tensor] = {}
        self._looks: dict[str, int] = {}
        self._compared: dict[str, int] = {}

    def objective(self, sample: Sample) -> None:
        layers = sample.anatomy.layers if sample.anatomy else None
        if layers is None:
            return
        names = {id(p): n for p, n in zip(sample.parameters, sample.names, strict=True)}
        self._dead(sample, names, layers.units)
        for units in layers.units:
            name = names.get(id(units.weight))
            if name is not None and units.saturated is not None:
                sample.record(signals.UNITS_SATURATED, units.saturated, name)
        told: set[str] = set()
        for found in layers.inputs:
            name = names.get(id(found.weight))
            if name is not None and name not in told:  # a weight that is used again: once
                told.add(name)
                self._layer(sample, name, found)

    def _dead(self, sample: Sample, names: dict[int, str], units: tuple[Units, ...]) -> None:
        silent: dict[str, Tensor] = {}
        for one in units:
            name, weight = names.get(id(one.weight)), one.weight
            if name is None or one.silent is None or weight.grad is None or weight.grad.is_sparse:
                continue
            before = silent.get(name)
            if before is None:
                rows = weight.grad.detach().movedim(one.axis, 0)
                before = ~(rows.reshape(rows.shape[0], -1) != 0).any(1)
            silent[name] = before & one.silent.to(before.device)
        for name, mask in silent.items():
            known = self._streaks.get(name)
            streak = mask.to(torch.int16)
            if known is not None and known.shape == mask.shape:
                streak = (known + 1) * streak
            self._streaks[name] = streak
            self._looks[name] = self._looks.get(name, 0) + 1
            if self._looks[name] >= _IN_A_ROW:
                sample.record(signals.UNITS_DEAD, (streak >= _IN_A_ROW).double().mean(), name)

    def _layer(self, sample: Sample, name: str, found: LayerInput) -> None:
        sample.record(signals.LAYER_INPUT, found.rms.double(), name)
        if found.mean is not None and found.deviation is not None:
            self._input(sample, name, found.mean.double(), found.deviation.double())
        count = self._compared[name] = self._compared.get(name, 0) + 1
        if count > _COMPARED:
            return
        rows = found.weight.detach().flatten(1).float()
        size = rows.square().sum()
        sample.record(signals.LAYER_GAIN, (size / rows.shape[0]).sqrt().double(), name)
        if rows.shape[0] > 1:
            apart = (rows - rows.mean(0)).square().sum() / size.clamp(min=torch.finfo(size.dtype).tiny)
            sample.record(signals.UNITS_ALIKE, apart.sqrt().double(), name)

    def _input(self, sample: Sample, name: str, mean: Tensor, deviation: Tensor) -> None:
        size = (mean.square() + deviation.square()).sqrt()
        varies = deviation > 1e-6 * size
        sample.record(signals.INPUT_LARGEST, size.amax(), name)
        sample.record(signals.INPUT_SMALLEST, torch.where(varies, size, torch.inf).amin(), name)
        offset = torch.where(varies, mean.abs() / deviation, torch.nan).nanmedian()
        sample.record(signals.INPUT_OFFSET, offset, name)


PROBE = UnitStates
