"""Objectives as people write them, read off live graphs."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import losscope
from losscope.anatomy.read import read
from losscope.core.errors import NotReadable
from losscope.losses.target_stats import TargetStats


@pytest.fixture
def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(7, 16), nn.ReLU(), nn.Linear(16, 10))


X = torch.randn(64, 7, generator=torch.Generator().manual_seed(0))
Y = torch.randint(10, (64,), generator=torch.Generator().manual_seed(1))
T = torch.rand(64, 10, generator=torch.Generator().manual_seed(2))


def l2(model: nn.Module) -> Tensor:
    return sum((p**2).sum() for p in model.parameters())  # type: ignore[return-value]


def test_the_example_of_the_design(net: nn.Sequential) -> None:
    loss = F.cross_entropy(net(X), Y, label_smoothing=0.1) + 0.01 * l2(net)
    anatomy = losscope.read(loss)
    assert repr(anatomy) == "1.0 · cross_entropy(logits[64,10], y; mean, label_smoothing=0.1) + 0.01 · ‖θ‖²"
    entropy, penalty = anatomy.terms
    assert entropy.value == pytest.approx(F.cross_entropy(net(X), Y, label_smoothing=0.1).item(), rel=1e-6)
    assert penalty.value == pytest.approx(l2(net).item(), rel=1e-6)
    assert penalty.count == 4
    assert {id(p) for p in penalty.parameters} == {id(p) for p in net.parameters()}
    assert entropy.floor == pytest.approx(0.5002880, abs=1e-6)
    assert "cross_entropy" in anatomy._repr_html_()


def test_prediction_and_target_are_at_hand(net: nn.Sequential) -> None:
    term = read(F.cross_entropy(net(X), Y)).terms[0]
    assert term.target is not None
    assert torch.equal(term.target, Y)
    assert term.prediction is not None
    assert torch.equal(term.prediction.argmax(1), net(X).argmax(1))
    assert not term.prediction.requires_grad
    assert term.prediction_is == "log-probabilities"


@pytest.mark.parametrize(
    ("what", "seen"), [(3.0, "float"), (torch.ones(1), "requires_grad=False"), (None, "NoneType")]
)
def test_what_is_no_loss_is_refused_in_one_line(what: object, seen: str) -> None:
    with pytest.raises(NotReadable, match=seen):
        read(what)  # type: ignore[arg-type]


def test_leaves_and_vectors_are_refused(net: nn.Sequential) -> None:
    with pytest.raises(NotReadable, match="a leaf"):
        read(torch.zeros(1, requires_grad=True))
    with pytest.raises(NotReadable, match=r"\(64,\).*mean"):
        read(F.cross_entropy(net(X), Y, reduction="none"))


def test_a_scaled_loss_is_read_unscaled(net: nn.Sequential) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = F.cross_entropy(net(X), Y)
    anatomy = read(loss * 65536.0, scale=65536.0)
    assert anatomy.terms[0].coefficient == pytest.approx(1.0)
    assert anatomy.value == pytest.approx(loss.item(), rel=1e-6)
    assert anatomy.terms[0].value == pytest.approx(loss.item(), rel=1e-6)


def test_accumulation_gives_a_coefficient(net: nn.Sequential) -> None:
    assert read(F.cross_entropy(net(X), Y) / 4).terms[0].coefficient == pytest.approx(0.25)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_element_types(dtype: torch.dtype) -> None:
    model = nn.Linear(7, 10).to(dtype)
    loss = F.cross_entropy(model(X.to(dtype)), Y) + F.mse_loss(model(X.to(dtype)), T.to(dtype))
    anatomy = read(loss)
    assert [t.kind for t in anatomy.terms] == ["cross_entropy", "mse"]
    total = sum(t.coefficient * t.value for t in anatomy.terms if t.value is not None)
    assert total == pytest.approx(anatomy.value, rel=1e-5 if dtype is not torch.bfloat16 else 2e-2)


@pytest.mark.parametrize("shape", [(2, 5, 4, 4), (2, 5, 7), (5,), (2, 5, 2, 3, 4)])
def test_spatial_and_unbatched_targets(shape: tuple[int, ...]) -> None:
    logits = torch.randn(shape, requires_grad=True) * 1.0
    target = torch.randint(5, shape[:1] * (len(shape) > 1) + shape[2:])
    loss = F.cross_entropy(logits, target)
    term = read(loss).terms[0]
    assert (term.kind, term.reduction, term.notes) == ("cross_entropy", "mean", ())
    assert term.prediction_shape == shape
    assert term.value == pytest.approx(loss.item())


def test_language_model_views_are_followed() -> None:
    logits = nn.Linear(4, 9)(torch.randn(2, 6, 4))
    labels = torch.randint(9, (2, 6))
    good = F.nll_loss(logits.log_softmax(-1).view(-1, 9), labels.view(-1))
    assert read(good).terms[0].notes == ()
    transposed = F.cross_entropy(logits.transpose(1, 2), labels)
    assert read(transposed).terms[0].notes == ()
    wrong = F.nll_loss(logits.log_softmax(1).view(-1, 9), labels.view(-1))
    assert read(wrong).terms[0].notes == ("wrong-softmax-dimension",)


def test_a_loop_of_losses_is_one_term() -> None:
    head = nn.Linear(4, 5)
    states = nn.RNN(3, 4)(torch.randn(7, 2, 3))[0]
    loss = sum(F.cross_entropy(head(states[i]), torch.randint(5, (2,))) for i in range(7)) / 7
    assert isinstance(loss, Tensor)
    (term,) = read(loss).terms
    assert (term.count, term.coefficient, term.reduction) == (7, pytest.approx(1.0), "mean")
    assert term.value == pytest.approx(loss.item(), rel=1e-6)
    assert term.target is not None
    assert term.target.shape == (14,)


def test_lists_of_losses(net: nn.Sequential) -> None:
    ce, mse = F.cross_entropy(net(X), Y), F.mse_loss(net(X), T)
    weights = torch.tensor([0.3, 0.7])
    for loss, expected in (
        (torch.stack([ce, mse]).mean(), (0.5, 0.5)),
        ((weights * torch.stack([ce, mse])).sum(), (0.3, 0.7)),
        (torch.dot(weights, torch.stack([ce, mse])), (0.3, 0.7)),
        (sum([ce, 2 * mse]), (1.0, 2.0)),
        (torch.cat([ce.view(1), mse.view(1)]).sum(), (1.0, 1.0)),
        (ce - 0.5 * mse, (1.0, -0.5)),
        (1.0 - (1.0 - ce) + mse, (1.0, 1.0)),
    ):
        assert isinstance(loss, Tensor)
        anatomy = read(loss)
        assert [t.kind for t in anatomy.terms if t.kind != "constant"] == ["cross_entropy", "mse"], anatomy
        assert tuple(t.coefficient for t in anatomy.terms[:2]) == pytest.approx(expected)
        assert anatomy.terms[0].value == pytest.approx(ce.item(), rel=1e-5)
        assert anatomy.terms[1].value == pytest.approx(mse.item(), rel=1e-5)


def test_a_constant_is_a_term_of_its_own(net: nn.Sequential) -> None:
    detached = l2(net).detach()
    anatomy = read(F.cross_entropy(net(X), Y) + 0.1 * detached)
    assert [t.kind for t in anatomy.terms] == ["cross_entropy", "constant"]
    assert anatomy.terms[1].value == pytest.approx(0.1 * detached.item(), rel=1e-4)


def test_learned_weights_of_terms(net: nn.Sequential) -> None:
    s = torch.tensor([0.3, -0.2], requires_grad=True)
    loss = torch.exp(-s[0]) * F.mse_loss(net(X), T) + s[0]
    anatomy = read(loss)
    assert anatomy.terms[0].kind == "mse"
    assert anatomy.terms[0].coefficient == pytest.approx(math.exp(-0.3), rel=1e-6)


def test_what_is_not_known_says_so(net: nn.Sequential) -> None:
    anatomy = read(torch.erf(net(X)).mean() + F.cross_entropy(net(X), Y))
    unknown, known = anatomy.terms
    assert unknown.kind.startswith("unknown(Erf ← Addmm")
    assert unknown.value == pytest.approx(torch.erf(net(X)).mean().item(), abs=1e-6)
    assert known.kind == "cross_entropy"


def test_a_doubling_graph_does_not_explode() -> None:
    x = torch.ones((), requires_grad=True) * 1.0
    for _ in range(60):
        x = x + x
    assert read(x).terms[0].kind.startswith("unknown")


def test_a_sum_of_thousands(net: nn.Sequential) -> None:
    loss = F.cross_entropy(net(X), Y)
    for _ in range(3000):
        loss = loss + 0.0 * net[0].bias.sum()
    assert any(t.kind == "cross_entropy" for t in read(loss).terms)


def test_checkpointed_tensors_are_not_recomputed(net: nn.Sequential) -> None:
    calls = [0]

    def block(x: Tensor) -> Tensor:
        calls[0] += 1
        return net(x).exp()

    loss = (checkpoint(block, X, use_reentrant=False) ** 2).mean()
    inside = checkpoint(lambda x: F.mse_loss(block(x), T), X, use_reentrant=False)
    assert isinstance(inside, Tensor)
    before = calls[0]
    assert read(loss).terms[0].kind == "mean_square"
    term = read(inside).terms[0]
    assert (term.kind, term.prediction, term.target) == ("mse", None, None)
    assert term.value == pytest.approx(inside.item())
    assert calls[0] == before


def test_saved_tensor_hooks_do_not_fire(net: nn.Sequential) -> None:
    unpacked = []

    def unpack(tensor: Tensor) -> Tensor:
        unpacked.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, unpack):
        loss = F.cross_entropy(net(X), Y) + F.mse_loss(net(X), T) + l2(net)
    anatomy = read(loss)
    assert unpacked == []
    assert [t.kind for t in anatomy.terms] == ["cross_entropy", "mse", "l2_penalty"]
    assert "saved-tensor-hooks" in anatomy.notes


def test_a_tensor_changed_in_place_is_not_believed(net: nn.Sequential) -> None:
    probability = net(X).sigmoid()
    original = probability.detach().clone()
    loss = F.mse_loss(probability, T) + F.cross_entropy(net(X), Y)
    expected = F.mse_loss(original, T).item()
    with torch.no_grad():
        probability.zero_()
    anatomy = read(loss)
    found = anatomy.terms[0].prediction
    assert found is None or torch.allclose(found, original)
    assert anatomy.terms[0].value == pytest.approx(expected, rel=1e-4)
    assert "saved-tensor-gone" in anatomy.notes


def test_after_backward_the_kinds_are_still_read(net: nn.Sequential) -> None:
    loss = F.cross_entropy(net(X), Y) + F.mse_loss(net(X), T)
    loss.backward()
    anatomy = read(loss)
    assert [t.kind for t in anatomy.terms] == ["cross_entropy", "mse"]
    assert [t.value for t in anatomy.terms] == [None, None]


def test_compiled_model_and_compiled_loss(net: nn.Sequential) -> None:
    model = torch.compile(net, backend="aot_eager")
    anatomy = read(F.cross_entropy(model(X), Y))
    assert anatomy.terms[0].kind == "cross_entropy"
    assert len(anatomy.parameters) == 4
    whole = torch.compile(lambda x, y: F.cross_entropy(net(x), y), backend="aot_eager")
    term = read(whole(X, Y)).terms[0]
    assert term.kind.startswith("unknown(CompiledFunction")
    assert "blind-spot" in term.notes
    torch.compiler.reset()


def test_under_functional_transforms() -> None:
    seen = []

    def loss(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
        value = F.cross_entropy((x @ w)[None], y[None])
        if value.grad_fn is not None:
            seen.append(read(value))
        return value

    w = torch.randn(7, 10, requires_grad=True)
    torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(w, X, Y)
    assert all(a.terms[0].notes == ("blind-spot",) for a in seen)


def test_custom_functions_and_fakes() -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return 2 * x

        @staticmethod
        def backward(ctx, g):
            return 2 * g

    term = read(Twice.apply(X.clone().requires_grad_()).mean()).terms[0]  # type: ignore[union-attr]
    assert term.kind.startswith("unknown(TwiceBackward")
    assert "blind-spot" in term.notes
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = F.cross_entropy(torch.randn(4, 3, requires_grad=True) * 1, torch.zeros(4, dtype=torch.long))
        assert read(fake).terms[0].notes == ("blind-spot",)


def test_meta_tensors() -> None:
    loss = F.mse_loss(torch.randn(3, device="meta", requires_grad=True) * 1, torch.randn(3, device="meta"))
    assert read(loss).terms[0].notes == ("blind-spot",)


def test_hugging_face_models() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        n_layer=1, n_head=2, n_embd=8, vocab_size=30, n_positions=16, bos_token_id=0, eos_token_id=0
    )
    ids = torch.randint(30, (2, 10))
    labels = ids.clone()
    labels[:, :3] = -100
    loss = transformers.GPT2LMHeadModel(config)(ids, labels=labels).loss
    (term,) = read(loss).terms
    assert (term.kind, term.reduction, term.notes) == ("cross_entropy", "mean", ())
    assert term.value == pytest.approx(loss.item())
    assert term.prediction_shape[-1] == 30
    stats = TargetStats()
    term.observe(stats)
    assert stats.count == int((labels[:, 1:] != -100).sum())
    bert = transformers.BertConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        vocab_size=30,
        num_labels=1,
    )
    regression = transformers.BertForSequenceClassification(bert)(ids, labels=torch.tensor([0.5, 2.0])).loss
    assert read(regression).terms[0].kind == "mse"


def test_signature_changes_with_structure_only(net: nn.Sequential) -> None:
    def key(rows: int, smoothing: float = 0.0, weight: float = 0.0) -> str:
        loss = F.cross_entropy(net(X[:rows]), Y[:rows], label_smoothing=smoothing)
        return read(loss + weight * l2(net) if weight else loss).signature

    assert key(64) == key(32)
    assert len({key(64), key(64, 0.1), key(64, 0.0, 0.01)}) == 3
    assert key(64, 0.1, 0.01) == key(32, 0.1, 0.02)


def test_sample_weights_reach_the_statistics(net: nn.Sequential) -> None:
    mask = (torch.arange(64) < 16).float()
    loss = (F.cross_entropy(net(X), Y, reduction="none") * mask).sum() / mask.sum()
    (term,) = read(loss).terms
    assert term.reduction == "masked-mean"
    assert term.value == pytest.approx(loss.item())
    stats = TargetStats()
    term.observe(stats)
    assert stats.count == 16


def test_chance_scales_with_the_reduction(net: nn.Sequential) -> None:
    stats, sums = TargetStats(), TargetStats()
    mean = read(F.cross_entropy(net(X), Y)).terms[0]
    total = read(F.cross_entropy(net(X), Y, reduction="sum")).terms[0]
    mean.observe(stats)
    total.observe(sums)
    one, many = mean.chance(stats), total.chance(sums)
    assert one is not None
    assert many is not None
    assert many.value == pytest.approx(64 * one.value)


def test_wgan_and_its_values() -> None:
    critic = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(), nn.Linear(8, 1))
    real, fake = torch.randn(16, 2), torch.randn(16, 2)
    loss = critic(fake).mean() - critic(real).mean()
    anatomy = read(loss)
    assert [t.kind for t in anatomy.terms] == ["mean_score", "mean_score"]
    assert [t.coefficient for t in anatomy.terms] == [1.0, -1.0]
    assert all(t.spec is not None and not t.spec.value_is_progress for t in anatomy.terms)
    assert anatomy.terms[1].value == pytest.approx(critic(real).mean().item(), rel=1e-5)


def test_reinforce_as_it_is_written() -> None:
    policy = nn.Linear(4, 3)
    steps = []
    for i in range(6):
        distribution = torch.distributions.Categorical(policy(torch.randn(1, 4)).softmax(1))
        steps.append(-distribution.log_prob(distribution.sample()) * (1.5 - i))
    anatomy = read(torch.cat(steps).sum())
    (term,) = anatomy.terms
    assert term.kind == "policy_gradient"
    assert term.value == pytest.approx(anatomy.value, rel=1e-5)


def test_residual_network_output_is_one_unknown() -> None:
    block = nn.Linear(5, 5)
    x = torch.randn(3, 5, requires_grad=True)
    for _ in range(30):
        x = x + block(x).relu()
    assert len(read(torch.erf(x).sum() + (x + 1).mean()).terms) <= 3


def test_graph_is_let_go(net: nn.Sequential) -> None:
    import gc
    import weakref

    hidden = net(X)
    watcher = weakref.ref(hidden)
    loss = ((hidden - T) ** 2).mean() + hidden.exp().mean()
    gc.disable()
    try:
        read(loss)
        del hidden, loss
        assert watcher() is None
    finally:
        gc.enable()
