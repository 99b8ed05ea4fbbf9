"""The cosine between an update and its gradient, against the directions that are known."""

import pytest
import torch
from torch.nn import Parameter

from losscope.probes.probe import Sample
from losscope.probes.updates import PROBE
from losscope.recording import signals


class Sink:
    def __init__(self):
        self.along = []

    def record(self, signal, label, step, value):
        if signal is signals.UPDATE_ALONG:
            self.along.append(float(value))

    def record_many(self, signal, labels, step, values):
        pass


def _along(change):
    torch.manual_seed(0)
    parameters = [Parameter(torch.randn(7, 5)), Parameter(torch.randn(300, 400)), Parameter(torch.randn(3))]
    for p in parameters[:2]:
        p.grad = torch.randn_like(p)
    sink, probe = Sink(), PROBE()
    sample = Sample(sink=sink, stream="0", step=0, parameters=parameters, names=["a", "b", "c"])
    probe.before_update(sample)
    with torch.no_grad():
        for p in parameters[:2]:
            p.add_(change(p.grad))
    probe.after_update(sample)
    return sink.along


@pytest.mark.parametrize(
    ("change", "cosine"),
    [
        (lambda g: -0.1 * g, -1.0),
        (lambda g: 0.01 * g, 1.0),
        (lambda g: -torch.sign(g), -((2 / torch.pi) ** 0.5)),  # E|g| / sqrt(E g²) of normal numbers
    ],
)
def test_known_directions(change, cosine):
    assert _along(change) == pytest.approx([cosine], abs=5e-3)


def test_an_update_across_the_gradient():
    (found,) = _along(torch.randn_like)
    assert abs(found) < 0.02
