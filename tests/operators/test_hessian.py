"""The Hessian against a dense reference that is made by other code, for every kind of network."""

import pytest
import torch
from networks import NETWORKS, problem
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

import losscope
from losscope.core.errors import BadUsage
from losscope.operators.dense import Dense
from losscope.operators.graph_memory import saved_bytes
from losscope.operators.hessian import Hessian


def dense_reference(model, loss, batches, penalty=0.0):
    """Rows by torch's own functional Hessian of the weighted mean over the batches."""
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    shapes = [p.shape for p in model.parameters() if p.requires_grad]
    buffers = {n: b.clone() for n, b in model.named_buffers()}

    def value(theta):
        sizes = [s.numel() for s in shapes]
        given = {n: t.view(s) for n, t, s in zip(names, theta.split(sizes), shapes, strict=True)}
        total = sum(len(y) for _, y in batches)
        parts = [
            len(y)
            / total
            * loss(functional_call(model, (given, {n: b.clone() for n, b in buffers.items()}), (x,)), y)
            for x, y in batches
        ]
        return sum(parts) + 0.5 * penalty * theta.square().sum()

    theta = torch.cat([p.detach().reshape(-1) for p in model.parameters() if p.requires_grad])
    with sdpa_kernel(SDPBackend.MATH):
        return torch.autograd.functional.hessian(value, theta)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("memory", [0, 1 << 30], ids=["made again", "kept"])
def test_hessian_of_every_kind_of_network(name, memory):
    model, loss, data = problem(name)
    reference = dense_reference(model, loss, data, penalty=0.1)
    hessian = Hessian(losscope.Objective(model, loss, data, penalty=0.1), memory=memory)
    scale = reference.abs().max()
    torch.testing.assert_close(hessian.dense() / scale, reference / scale, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        hessian.dense() / scale, reference / scale, rtol=0, atol=1e-12
    )  # and once more


def test_an_unweighted_mean_over_batches_would_be_noticed():
    model, loss, data = problem("tanh")
    reference = dense_reference(model, loss, data)
    wrong = sum(Hessian(losscope.Objective(model, loss, batch)).dense() for batch in data) / len(data)
    assert (wrong - reference).abs().max() > 0.01 * reference.abs().max()


def test_one_vector_and_a_block_agree():
    hessian = Hessian(losscope.Objective(*problem("gelu")))
    block = torch.randn(hessian.size, 3, dtype=torch.float64)
    columns = torch.stack([hessian @ block[:, j] for j in range(3)], 1)
    torch.testing.assert_close(hessian @ block, columns, rtol=0, atol=0)
    assert hessian.products == 6


def test_the_kept_graph_follows_the_parameters():
    model, loss, data = problem("tanh")
    hessian = Hessian(losscope.Objective(model, loss, data))
    before = hessian.dense()
    with torch.no_grad():
        model[0].weight.mul_(2)
    after = hessian.dense()
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, dense_reference(model, loss, data), rtol=0, atol=1e-12)


def test_dropout_is_one_function():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    x, y = torch.randn(9, 4).double(), torch.randint(3, (9,))
    dense = [
        Hessian(losscope.Objective(model, nn.CrossEntropyLoss(), (x, y)), memory=m).dense()
        for m in (0, 1 << 30)
    ]
    torch.testing.assert_close(dense[0], dense[1], rtol=0, atol=1e-15)
    torch.testing.assert_close(dense[0], dense[0].T, rtol=0, atol=1e-15)


def test_a_linear_loss_has_the_zero_matrix():
    model = nn.Linear(3, 1).double()
    objective = losscope.Objective(model, lambda p: p.mean(), torch.randn(5, 3).double())
    assert Hessian(objective).dense().abs().max() == 0


def test_nothing_of_the_model_changes():
    model, loss, data = problem("batch norm, training")
    state = {n: t.clone() for n, t in model.state_dict().items()}
    random = torch.get_rng_state()
    hessian = Hessian(losscope.Objective(model, loss, data))
    hessian @ torch.ones(hessian.size, dtype=torch.float64)
    assert all(torch.equal(state[n], t) for n, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters()) and model.training
    assert torch.equal(random, torch.get_rng_state())


def test_combinations():
    hessian = Hessian(losscope.Objective(*problem("tanh")))
    dense, vector = hessian.dense(), torch.randn(hessian.size, dtype=torch.float64)
    cases = {
        (2 * hessian).shifted(0.5): 2 * dense + 0.5 * torch.eye(hessian.size, dtype=torch.float64),
        hessian + hessian: 2 * dense,
    }
    for operator, matrix in cases.items():
        torch.testing.assert_close(operator @ vector, matrix @ vector)
    torch.testing.assert_close(hessian.block(slice(3, 8)).dense(), dense[3:8, 3:8])
    product = hessian.to_scipy() @ vector.numpy()
    torch.testing.assert_close(torch.as_tensor(product), dense @ vector)


@pytest.mark.parametrize("wrong", [torch.ones(3), torch.ones(2, 2, 2), [1.0]])
def test_a_vector_of_the_wrong_size_is_one_line(wrong):
    hessian = Hessian(losscope.Objective(*problem("tanh")))
    with pytest.raises(BadUsage, match="applied to"):
        hessian @ wrong


def test_saved_bytes_counts_a_storage_once():
    x = torch.ones(100, 100, requires_grad=True)
    assert saved_bytes([(x * x).sum()]) == 40_000


def test_the_rounding_of_autocast_is_no_asymmetry():
    class Half(nn.Sequential):
        def forward(self, x):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return super().forward(x).float()

    torch.manual_seed(0)
    model = Half(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 5))
    x, y = torch.randn(64, 8), torch.randint(5, (64,))
    operator = Hessian(losscope.Objective(model, nn.functional.cross_entropy, (x, y)))
    for seed in range(5):
        torch.manual_seed(seed)
        own = torch.randn(operator.size, 2)
        assert operator.asymmetry(own, operator @ own) is None


def test_parameters_of_two_types():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(5, 6).double(), nn.Linear(6, 3)

        def forward(self, x):
            return self.b(self.a(x.double()).float())

    torch.manual_seed(0)
    objective = losscope.Objective(
        Mixed(), nn.functional.cross_entropy, (torch.randn(20, 5), torch.randint(3, (20,)))
    )
    assert objective.value(objective.theta) == pytest.approx(objective.value(), rel=1e-6)


def test_complex_vectors_are_refused():
    operator = Dense(torch.eye(3))
    with pytest.raises(BadUsage, match="real vectors"):
        operator @ torch.ones(3, dtype=torch.complex64)
