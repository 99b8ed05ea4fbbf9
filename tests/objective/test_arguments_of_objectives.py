"""What people hand to an objective by mistake: it works where the meaning is certain, or is one line that helps."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import losscope
from losscope.core.errors import BadUsage
from losscope.objective import evaluation

torch.manual_seed(0)
X, Y = torch.randn(6, 3), torch.tensor([0, 1, 1, 0, 1, 0])
ARRAY, LABELS = X.numpy(), Y.numpy()
SET = TensorDataset(X, Y)


class TwoArguments(nn.Module):
    """A loss that does not derive from torch's."""

    def forward(self, prediction, target):
        return F.cross_entropy(prediction, target)


@pytest.fixture
def model():
    torch.manual_seed(1)
    return nn.Linear(3, 2)


MEANT = {
    "arrays": (ARRAY, LABELS),
    "arrays of other types": (ARRAY.astype(np.float64), LABELS.astype(np.int32)),
    "bytes as classes": (ARRAY, LABELS.astype(np.uint8)),
    "a list of inputs and targets": [X, Y],
    "a list of two arrays": [ARRAY, LABELS],
    "batches of arrays": [(ARRAY[:3], LABELS[:3]), (ARRAY[3:], LABELS[3:])],
    "a loader's batches": DataLoader(SET, batch_size=4),
}


@pytest.mark.parametrize("loss", [F.cross_entropy, nn.CrossEntropyLoss(), TwoArguments()])
@pytest.mark.parametrize("name", list(MEANT))
def test_data_whose_meaning_is_certain(name, loss, model):
    found, plain = (losscope.Objective(model, loss, data) for data in (MEANT[name], (X, Y)))
    assert found.value() == pytest.approx(plain.value(), rel=1e-6)
    torch.testing.assert_close(found.gradient(), plain.gradient())
    assert found.samples == 6


def test_a_list_of_inputs_stays_many_batches(model):
    """Where the loss takes no target, two tensors are two batches."""
    objective = losscope.Objective(model, lambda output: output.square().mean(), [X, X[:3]])
    assert len(objective.batches) == 2 and objective.samples == 9
    double = losscope.Objective(model.double(), F.cross_entropy, (ARRAY, LABELS))
    assert double.batches[0].inputs[0].dtype == torch.float64


def made(model, loss=F.cross_entropy, data=(X, Y), penalty=None):
    return losscope.Objective(model, loss, data, penalty)


REFUSED = {
    "swapped": (
        lambda m: made(nn.CrossEntropyLoss(), m),
        "other's place.*CrossEntropyLoss.*model comes first",
    ),
    "swapped, a function": (lambda m: made(F.cross_entropy, m), "other's place.*cross_entropy"),
    "swapped, a loss of one's own": (lambda m: made(TwoArguments(), m), "the model comes first"),
    "a class for the model": (lambda m: made(nn.Linear), "class Linear.*what it makes"),
    "a class for the loss": (lambda m: made(m, nn.CrossEntropyLoss), r"give CrossEntropyLoss\(\)"),
    "a value for the loss": (lambda m: made(m, F.cross_entropy(m(X), Y)), "not a value of it"),
    "a name for the loss": (lambda m: made(m, "cross_entropy"), "str 'cross_entropy'"),
    "no target": (lambda m: made(m, data=X), "no target.*inputs, targets"),
    "a list of three": (lambda m: made(m, data=[X, Y, Y]), r"no target.*\[6, 3\], \[6\], \[6\]"),
    "real classes": (lambda m: made(m, data=(X, Y.float())), r"float32 \[6\].*target\.long"),
    "short classes": (lambda m: made(m, data=(X, Y.int())), r"int32 \[6\].*target\.long"),
    "whole numbers": (
        lambda m: made(m, F.binary_cross_entropy_with_logits, (X, F.one_hot(Y))),
        r"target\.float",
    ),
    "double inputs": (lambda m: made(m, data=(X.double(), Y)), "parameters are float32.*dtype=torch.float32"),
    "whole inputs": (lambda m: made(m, data=(X.long(), Y)), r"inputs\.float"),
    "too few columns": (lambda m: made(m, data=(X[:, :2], Y)), r"6x2 and 3x2.*float32 \[6, 2\]"),
    "too few targets": (lambda m: made(m, data=(X, Y[:4])), r"batch_size.*int64 \[4\]"),
    "two outputs": (lambda m: made(nn.LSTM(3, 2), data=(X, Y)), r"tuple of 2.*output\[0\]"),
    "samples": (lambda m: made(m, data=list(SET)), r"samples and not batches.*\[3\], \[\].*DataLoader"),
    "samples with numbers": (
        lambda m: made(m, data=[(x, int(y)) for x, y in SET]),
        r"\[3\], int.*DataLoader",
    ),
    "samples by name": (lambda m: made(m, None, [{"x": x, "labels": y} for x, y in SET]), "DataLoader"),
    "a dataset": (lambda m: made(m, data=SET), "TensorDataset.*DataLoader"),
    "a negative penalty": (lambda m: made(m, penalty=-1), "λ from 0.*penalty=-1"),
    "no number": (lambda m: made(m, penalty="l2"), "finite number.*'l2'"),
    "a penalty's number": (
        lambda m: made(m, penalty=lambda m: m.weight.detach().square().sum().item()),
        "float",
    ),
    "a penalty without graph": (
        lambda m: made(m, penalty=lambda m: m.weight.data.sum()),
        "penalty does not depend",
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_cannot_be_meant_is_one_line(name, model):
    make, says = REFUSED[name]
    with pytest.raises(BadUsage, match=says) as caught:
        make(model).value()
    assert "\n" not in str(caught.value)


def test_a_useless_penalty_is_refused_before_anything_is_computed(model):
    with pytest.raises(BadUsage, match="the penalty is no tensor"):
        losscope.Objective(model, F.cross_entropy, (X, Y), lambda m: 1.0)


@pytest.mark.parametrize("given", [np.float32(0.5), torch.tensor(0.5), 0.5])
def test_a_number_is_a_number(given, model):
    assert made(model, penalty=given).penalty_value() == pytest.approx(
        0.25 * float(sum(p.detach().square().sum() for p in model.parameters()))
    )


class Tempered(nn.Module):
    """A loss that learns its temperature with the model."""

    def __init__(self):
        super().__init__()
        self.log = nn.Parameter(torch.tensor(0.7))

    def forward(self, prediction, target):
        return F.cross_entropy(prediction * self.log.exp(), target)


def test_weight_decay_is_that_of_all_trained_parameters(model, monkeypatch):
    """As an optimiser has it that is given all of θ: λθ. The planted mutant leaves the loss's parameters out."""
    loss = Tempered()
    optimiser = torch.optim.SGD([*model.parameters(), *loss.parameters()], lr=1.0, weight_decay=0.3)
    objective = made(model, loss, penalty=0.3)
    gradient, before, whole = objective.gradient(), objective.theta, objective.penalty_value()
    with monkeypatch.context() as planted:
        planted.setattr(evaluation, "WeightDecay", int)
        assert objective.penalty_value() < whole - 0.05
    assert objective.names[-1] == "loss.log"
    loss(model(X), Y).backward()
    optimiser.step()
    torch.testing.assert_close(before - gradient, objective.theta)


def test_the_error_of_a_model_of_ones_own_is_let_through():
    class Faulty(nn.Linear):
        def forward(self, x):
            raise ValueError("not so")

    with pytest.raises(ValueError, match="not so"):
        made(Faulty(3, 2)).value()
