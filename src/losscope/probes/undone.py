"""Updates that are taken back: s = −⟨θ_a − θ_b, Δ⟩ / ‖Δ‖², with Δ the update to θ_b, θ_a what stands at the next one.

0 where nobody wrote to the parameters in between; 1 where the update was taken back; 1 − α where they became an average
with weight α of the new. Of at most four parameters, the largest ones. Cost: three copies of at most 65,536 elements.
"""

import torch
from torch import Tensor

from losscope.probes.probe import Probe, Sample
from losscope.probes.thinning import part
from losscope.recording import signals

_PARAMETERS = 4


class Undone(Probe):
    """Records UNDONE_SHARE at the sampled update's step."""

    def __init__(self) -> None:
        self._before: tuple[str, dict[str, Tensor]] = ("", {})
        self._after: dict[str, tuple[int, dict[str, tuple[Tensor, Tensor]]]] = {}

    def before_update(self, sample: Sample) -> None:
        dense = [(p.numel(), n, p) for n, p in zip(sample.names, sample.parameters, strict=True)]
        chosen = sorted(dense, key=lambda entry: -entry[0])[:_PARAMETERS]
        self._before = sample.stream, {n: part(p) for _, n, p in chosen if not p.is_complex()}

    def after_update(self, sample: Sample) -> None:
        (stream, before), self._before = self._before, ("", {})
        live = dict(zip(sample.names, sample.parameters, strict=True))
        if stream == sample.stream:
            now = {n: part(live[n]) for n in before if n in live}
            self._after[stream] = sample.step, {n: (a, a - before[n]) for n, a in now.items()}

    def following(self, sample: Sample) -> None:
        step, noted = self._after.pop(sample.stream, (-1, {}))
        live = dict(zip(sample.names, sample.parameters, strict=True))
        pairs = [(part(live[n]) - after, move) for n, (after, move) in noted.items() if n in live]
        if step != sample.step - 1 or not pairs:
            return
        device = pairs[0][1].device
        back = torch.stack([-(d * m).sum(dtype=torch.float64).to(device) for d, m in pairs]).sum()
        size = torch.stack([m.square().sum(dtype=torch.float64).to(device) for _, m in pairs]).sum()
        sample.sink.record(signals.UNDONE_SHARE, sample.stream, step, back / size)  # nan where nothing moved


PROBE = Undone
