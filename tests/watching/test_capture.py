"""What one update is and what its loss was, for the ways in which people write training loops."""

import pytest
import torch
import torch.nn.functional as F
from memory_watch import MemoryRecorder, watching
from torch import nn

from losscope.recording import signals as s
from losscope.watching.assembly import assemble
from losscope.watching.budget import Governor


@pytest.fixture
def data():
    torch.manual_seed(0)
    return torch.randn(64, 8), torch.randint(0, 3, (64,))


def test_plain_loop(data):
    x, y = data
    seen = []
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(20):
            loss = F.cross_entropy(model(x), y)
            seen.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert record.values(s.LOSS) == pytest.approx(seen, rel=1e-6)
    assert record.steps(s.LOSS) == list(range(20))
    assert record.values(s.STALE_GRADIENT) == [0.0] * 19
    assert record.values(s.LEARNING_RATE, "0/0") == [0.1]
    assert record.of("optimizer")[0]["parameters"] == ["weight", "bias"]


def test_the_loss_is_read_before_the_user_adds_to_it_in_place(data):
    x, y = data
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loss = F.cross_entropy(model(x), y)
        value = loss.item()
        loss.backward()
        with torch.no_grad():
            loss += 100
        optimizer.step()
    assert record.values(s.LOSS) == pytest.approx([value])


@pytest.mark.parametrize("k", [2, 5])
def test_accumulation_is_one_update_with_the_mean_loss(data, k):
    x, y = data
    seen = []
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(6):
            total = 0.0
            for part in range(k):
                loss = F.cross_entropy(model(x[part::k]), y[part::k]) / k
                loss.backward()
                total += loss.item()
            seen.append(total)
            optimizer.step()
            optimizer.zero_grad()
    assert record.values(s.LOSS) == pytest.approx(seen, rel=1e-6)
    assert record.values(s.BACKWARDS) == [k] * 6
    assert record.values(s.STALE_GRADIENT) == [0.0] * 5
    assert record.of("anatomy")[0]["terms"][0]["coefficient"] == pytest.approx(1.0)


def test_amp_scale_is_taken_out(data):
    x, y = data
    seen = []
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=4096.0)
        for _ in range(10):
            loss = F.cross_entropy(model(x), y)
            seen.append(loss.item())
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    assert record.values(s.LOSS) == pytest.approx(seen, rel=1e-5)
    assert record.of("anatomy")[0]["terms"][0]["coefficient"] == pytest.approx(1.0)
    assert max(record.values(s.GRADIENT_NORM)) < 10  # that of the unscaled gradient


def test_lbfgs_closures_count_once(data):
    x, y = data
    firsts = []
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=5)

        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        for _ in range(4):
            firsts.append(optimizer.step(closure).item())
    assert record.values(s.LOSS) == pytest.approx(firsts, rel=1e-6)
    assert all(count >= 2 for count in record.values(s.BACKWARDS))
    assert set(record.values(s.STALE_GRADIENT)) <= {0.0}


def test_closure_of_an_ordinary_optimiser(data):
    x, y = data
    seen = []
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(5):

            def closure():
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                seen.append(loss.item())
                return loss

            optimizer.step(closure)
    assert record.values(s.LOSS) == pytest.approx(seen, rel=1e-6)
    assert len(record.values(s.GRADIENT_NORM)) >= 3
    assert record.values(s.STALE_GRADIENT) == [0.0] * 4


def test_two_optimisers_in_turn_are_two_streams(data):
    x, _ = data
    with watching() as record:
        G, D = nn.Linear(8, 8), nn.Linear(8, 1)
        of_g, of_d = torch.optim.SGD(G.parameters(), lr=0.1), torch.optim.SGD(D.parameters(), lr=0.1)
        d_losses, g_losses = [], []
        for _ in range(8):
            of_d.zero_grad()
            real = F.softplus(-D(x)).mean()
            real.backward()
            fake = F.softplus(D(G(x).detach())).mean()
            fake.backward()
            of_d.step()
            d_losses.append(real.item() + fake.item())
            of_g.zero_grad()
            loss = F.softplus(-D(G(x))).mean()
            loss.backward()
            of_g.step()
            g_losses.append(loss.item())
    assert record.values(s.LOSS, "0") == pytest.approx(d_losses, rel=1e-5)
    assert record.values(s.LOSS, "1") == pytest.approx(g_losses, rel=1e-5)
    reach = {event["stream"]: event for event in record.of("reach")}
    assert reach["1"]["reached_not_held"] == []  # the discriminator is another optimiser's affair
    assert reach["0"]["held_not_reached"] == reach["1"]["held_not_reached"] == []


@pytest.mark.parametrize("how", ["in place", "data", "replaced", "autograd.grad"])
def test_updates_by_hand(data, how):
    x, y = data
    seen = []
    with watching() as record:
        w = torch.zeros(8, 3, requires_grad=True)
        w = nn.Parameter(w.detach()) if how == "autograd.grad" else w
        for _ in range(12):
            loss = F.cross_entropy(x @ w, y)
            seen.append(loss.item())
            if how == "autograd.grad":
                gradient = torch.autograd.grad(loss, [w])[0]
            else:
                loss.backward()
                gradient = w.grad
            if how == "data":
                w.data -= 0.5 * gradient
                w.grad.zero_()
            elif how == "replaced":
                w = (w - 0.5 * gradient).detach().requires_grad_()
            else:
                with torch.no_grad():
                    w -= 0.5 * gradient
                w.grad = None
    assert set(record.values(s.STALE_GRADIENT)) <= {0.0}
    got = record.values(s.LOSS)
    assert got == pytest.approx(seen[: len(got)], rel=1e-6)
    assert len(got) >= 11


def test_missing_zero_grad_is_seen_whoever_should_have_cleared(data):
    x, y = data
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(10):
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert record.values(s.STALE_GRADIENT) == [1.0] * 9


def test_clipping_norm_and_limit(data):
    x, y = data
    found = []
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            found.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05).item())
            optimizer.step()
    assert record.values(s.CLIP_NORM) == pytest.approx(found)
    assert record.values(s.CLIP_LIMIT) == [0.05] * 4
    assert max(record.values(s.GRADIENT_NORM)) == pytest.approx(0.05, rel=1e-3)  # after clipping


def test_a_backward_that_fails_does_not_blind_the_watch(data):
    x, y = data
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(6):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            if step == 2:
                with pytest.raises(RuntimeError, match="second time"):
                    loss.backward()
            optimizer.step()
    assert len(record.values(s.LOSS)) == 6


def test_evaluation_passes_epochs_and_which_data(data):
    from torch.utils.data import DataLoader, TensorDataset

    train = DataLoader(TensorDataset(*data), batch_size=16)
    held = DataLoader(TensorDataset(torch.randn(40, 8), torch.randint(0, 3, (40,))), batch_size=16)
    expected = []
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        def evaluate(loader, reduction):
            total = 0.0
            with torch.no_grad():
                for xb, yb in loader:
                    loss = F.cross_entropy(model(xb), yb, reduction=reduction)
                    total += loss.item() * (len(yb) if reduction == "mean" else 1)
            return total / len(loader.dataset)

        for _ in range(3):
            for xb, yb in train:
                optimizer.zero_grad()
                F.cross_entropy(model(xb), yb).backward()
                optimizer.step()
            expected.append(evaluate(held, "sum"))
            evaluate(train, "mean")
    loaders = {event["label"]: event["loader"] for event in record.of("evaluation")}
    labels = {kind: label for label, kind in loaders.items()}
    assert set(labels) == {"other", "train"}
    assert record.values(s.EVALUATION_LOSS, labels["other"]) == pytest.approx(expected, rel=1e-5)
    assert record.values(s.EVALUATION_COUNT, labels["other"]) == [40.0] * 3
    assert record.values(s.EPOCH, "") == [0.0, 1.0, 2.0]
    assert record.steps(s.EPOCH, "") == [0, 4, 8]


def test_a_loss_without_graph_reaches_nothing(data):
    x, y = data
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            loss = torch.tensor(F.cross_entropy(model(x), y).item(), requires_grad=True)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert record.of("reach")[-1]["held_not_reached"] == ["bias", "weight"]


def test_the_first_nan_is_traced_to_its_operation(data):
    x, y = data
    with watching() as record:
        model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(5):
            h = model[0](x)
            h = torch.log(h - h.max() - 1) if step == 3 else h
            loss = F.cross_entropy(model[1](h), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    (event,) = record.of("non-finite")
    assert event["step"] == 3 and "log" in event["origin"].lower()


def test_a_time_limit_of_the_users_passes_through_our_hooks(data, monkeypatch):
    """SIGALRM may strike while a hook of ours runs; what its handler raises belongs to the script."""
    import os
    import signal

    from losscope.watching.watch import Watch

    class TimeLimit(Exception):
        pass

    def on_alarm(number, frame):
        raise TimeLimit

    x, y = data
    before = signal.signal(signal.SIGALRM, on_alarm)
    monkeypatch.setattr(Watch, "_commit", lambda self, stream, now: os.kill(os.getpid(), signal.SIGALRM))
    try:
        with watching():
            model = nn.Linear(8, 3)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            F.cross_entropy(model(x), y).backward()
            with pytest.raises(TimeLimit):
                optimizer.step()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_wrappers_that_evaluate_twice_show_one_term(data):
    x, y = data
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(6):  # SAM by hand: the first gradient only shows the way up
            F.cross_entropy(model(x), y).backward()
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            value = loss.item()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    assert record.values(s.LOSS)[-1] == pytest.approx(value)
    assert [t["coefficient"] for t in record.of("anatomy")[-1]["terms"]] == [1.0]


def test_updates_that_the_stride_passes_over_are_counted_and_leave_no_samples(data, monkeypatch):
    x, y = data
    monkeypatch.setattr(Governor, "adapt", lambda self: False)
    recorder = MemoryRecorder()
    watch, hooks = assemble(recorder, share=1e9)
    watch.governor.stride = 3
    hooks.install()
    try:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        losses = []
        for _ in range(400):
            loss = F.cross_entropy(model(x), y)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    finally:
        watch.finish()
        hooks.remove()
    steps = recorder.steps(s.LOSS)
    assert recorder.values(s.LOSS) == pytest.approx([losses[i] for i in steps], rel=1e-6)
    assert 400 / 3 <= len(steps) < 300
    assert recorder.steps(s.STEP_TIME)[-1] == 399
    values, at = recorder.values(s.TERM_VALUE, "0/0"), recorder.steps(s.TERM_VALUE, "0/0")
    assert values == pytest.approx([losses[i] for i in at], rel=1e-6) and len(set(at)) == len(at)


def test_an_update_that_never_shows_its_gradients_is_not_waited_for_forever(data, monkeypatch):
    """Inside step(closure) the gradient after a sample is not seen; waiting for it would cost every step."""
    x, y = data
    recorder = MemoryRecorder()
    watch, hooks = assemble(recorder, share=1e9)
    hooks.install()
    try:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)
        assert watch.deep.expecting
        monkeypatch.setattr(Governor, "wants_deep", lambda self, update: False)
        for _ in range(20):
            optimizer.step(closure)
        assert not watch.deep.expecting
    finally:
        watch.finish()
        hooks.remove()
