"""Losses that were built for a number of classes or columns are given inputs of that size."""

import pytest
import torch
from torch import nn

import losscope
from losscope.checks.infer import infer, subject_of
from losscope.checks.sizes import axis_of, built_for, matrices, usual
from losscope.checks.target import of


@pytest.mark.parametrize(
    ("name", "axis"),
    [
        *((n, "C") for n in ("num_classes", "n_classes", "nclass", "class_num", "out_features", "_num_cls")),
        *((n, "D") for n in ("in_features", "embedding_size", "feat_dim", "d_model", "hidden_dim", "emb_dim")),
        *((n, None) for n in ("dim", "gamma", "reduction", "size", "ignore_index", "class_weights", "n")),
    ],
)  # fmt: skip
def test_names_of_sizes(name, axis):
    assert axis_of(name) == axis


class Centers(nn.Module):
    """As in many re-implementations of the centre loss: sizes have defaults, the weights show them."""

    def __init__(self, num_classes=7, feat_dim=4):
        super().__init__()
        self.centers = nn.Parameter(torch.randn(num_classes, feat_dim))

    def forward(self, features, labels):
        return (features - self.centers[labels]).square().sum(1).mean()


class Margins(nn.Module):
    """Weights lie the other way round, [columns, classes]."""

    def __init__(self, num_classes, embedding_size):
        super().__init__()
        self.num_classes = num_classes
        self.weight = nn.Parameter(torch.randn(embedding_size, num_classes))

    def forward(self, features, labels):
        return nn.functional.cross_entropy(features @ self.weight, labels)


@pytest.mark.parametrize(
    ("loss", "sizes"),
    [
        (Centers(), {"C": 7, "D": 4}),
        (Margins(6, 9), {"C": 6, "D": 9}),
        (nn.CrossEntropyLoss(weight=torch.ones(10)), {"C": 10, "D": 10}),
        (nn.BCEWithLogitsLoss(pos_weight=torch.ones(4)), {"C": 4, "D": 4}),
        (nn.CrossEntropyLoss(), {}),
        (nn.TripletMarginLoss(), {}),
        (torch.nn.functional.mse_loss, {}),
    ],
)
def test_a_loss_tells_what_it_was_built_for(loss, sizes):
    assert built_for(loss, {}) == sizes


def test_buffers_are_no_weights_of_its_own():
    assert matrices(nn.CrossEntropyLoss(weight=torch.ones(10))) == []
    assert [m.shape for m in matrices(Centers())] == [(7, 4)]


def test_sizes_that_are_asked_for_are_filled_in():
    assert usual(["in_features", "num_classes", "cutoffs"]) == {"in_features": 3, "num_classes": 5}


of_torch = pytest.param(
    "torch.nn:LinearCrossEntropyLoss",
    marks=pytest.mark.skipif(
        not hasattr(nn, "LinearCrossEntropyLoss"), reason="this torch has no nn.LinearCrossEntropyLoss"
    ),
)


@pytest.mark.parametrize("target", [Centers(), Margins(6, 9), of_torch])
def test_a_loss_with_a_weight_matrix_takes_features(target):
    found = losscope.audit(target, only=["gradient", "descent"], isolate=False)
    assert found.task == "head"
    assert found.bugs == []


class Turned(nn.Module):
    """Sizes by names that say nothing, weights of [columns, classes]: only one way round fits."""

    def __init__(self, nc, es):
        super().__init__()
        self.nc, self.es = nc, es
        self.kernel = nn.Parameter(torch.randn(es, nc))

    def forward(self, embeddings, label):
        assert embeddings.shape[1] == self.es
        return nn.functional.cross_entropy(embeddings @ self.kernel, label)


class Prototypes(nn.Module):
    """A buffer is no weight, but tells the sizes all the same."""

    def __init__(self):
        super().__init__()
        self.register_buffer("means", torch.randn(9, 6))

    def forward(self, z, y):
        return nn.functional.cross_entropy(-torch.cdist(z, self.means.to(z)), y)


@pytest.mark.parametrize(("loss", "columns"), [(Turned(7, 11), 11), (Turned(11, 7), 7), (Prototypes(), 6)])
def test_either_way_round_is_tried(loss, columns):
    target = of(loss)
    assert subject_of(target, infer(target)).case(0)[0].shape[1] == columns


def test_the_repro_of_a_live_module_has_its_weights():
    weight = torch.tensor([1.0, 2.0, 0.5])
    found = losscope.audit(
        nn.CrossEntropyLoss(weight=weight, label_smoothing=0.1), only=["ignored"], isolate=False
    )
    repro = found.conventions[0].counterexample
    assert "CrossEntropyLoss(label_smoothing=0.1, weight=torch.tensor([1.0, 2.0, 0.5])" in repro.repro
    assert "ignore_index=-100" in repro.repro
