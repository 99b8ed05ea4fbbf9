"""What checkers are made of: values and Hessians by sample, domains, distributions of targets, minimisers."""

import pytest
import torch
import torch.nn.functional as F
from subjects_of_checks import LOGITS, VALUES, planted

from losscope.checks import elicitation
from losscope.checks.domains import from_domain, inside, to_domain
from losscope.checks.minimise import minima
from losscope.checks.outcomes import draw_outcomes
from losscope.checks.samples import samples_of
from losscope.checks.subject import Subject
from losscope.losses.arguments import KINDS, Argument


def test_the_value_per_sample() -> None:
    """Unreduced where there is an option, else rows, else the batch; each in agreement with the loss itself."""
    units = samples_of(planted(F.huber_loss, VALUES))
    rows = samples_of(Subject(name="rows", call=F.huber_loss, arguments=VALUES))
    batch = samples_of(Subject(name="batch", call=lambda x, t: F.mse_loss(x, t).sqrt(), arguments=VALUES))
    assert (units.mode, rows.mode, batch.mode) == ("units", "rows", "batch")
    case = units.draw(0)
    torch.testing.assert_close(units.each(case), F.huber_loss(*case, reduction="none").sum(1))
    torch.testing.assert_close(rows.each(case), F.huber_loss(*case, reduction="none").mean(1))
    assert batch.each(case).shape == (1,)


def test_hessians_of_samples_are_those_of_the_loss() -> None:
    samples = samples_of(planted(F.cross_entropy, LOGITS))
    case = samples.draw(0)
    found = samples.hessians(case)
    assert found is not None
    p = case[0].softmax(1)
    torch.testing.assert_close(found[1], torch.diag_embed(p) - p[:, :, None] * p[:, None, :])


def test_frames_first_predictions_are_laid_out_by_sample() -> None:
    """[T, N, C] as [N, T·C] and back."""
    arguments = (Argument("input", "frame-log-probabilities"), Argument("weight", "weights"))
    subject = Subject(
        name="frames", call=lambda x, w: (x.exp().square().sum((0, 2)) * w).mean(), arguments=arguments
    )
    samples = samples_of(subject)
    case = samples.draw(0)
    flat = samples.flat(case)
    assert flat.shape[0] == case[0].shape[1]
    assert torch.equal(samples.place(case, flat)[0], case[0])


@pytest.mark.parametrize("kind", sorted(k for k, v in KINDS.items() if v.role == "prediction"))
def test_free_vectors_stand_for_values_of_the_domain(kind: str) -> None:
    subject = Subject(name=kind, call=lambda x: x.sum(), arguments=(Argument("input", kind),))
    case = subject.case(0)
    torch.testing.assert_close(to_domain(kind, from_domain(kind, case[0])), case[0], rtol=1e-9, atol=1e-9)
    wild = 20 * torch.randn(case[0].shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert inside(subject, (to_domain(kind, wild),))


def test_distributions_of_targets_are_what_they_say() -> None:
    """Counts add up, one class is the likeliest, and its logits are the truth."""
    for seed in range(6):
        outcomes = draw_outcomes(planted(F.cross_entropy, LOGITS), seed)
        assert float(outcomes.true.sum()) == pytest.approx(1.0)
        assert float(outcomes.true.min()) > 0
        top = outcomes.true.sort(descending=True).values[0]
        assert top[0] > top[1]
        torch.testing.assert_close(outcomes.implied(outcomes.truth), outcomes.true)


def test_the_minimiser_finds_known_minima() -> None:
    rosenbrock, start = (
        lambda z: (1 - z[0]) ** 2 + 100 * (z[1] - z[0] ** 2) ** 2,
        torch.tensor([-1.2, 1.0]).double(),
    )
    (vector, value), *_ = minima(rosenbrock, [start]).ends
    assert value < 1e-12
    torch.testing.assert_close(vector, torch.ones(2).double(), atol=1e-5, rtol=0)
    corner = torch.tensor([0.3, -0.7]).double()
    found = minima(lambda z: (z - corner).abs().sum(), [torch.zeros(2).double()])
    assert found.done and found.ends[0][1] < 1e-6


def test_functionals_against_closed_forms() -> None:
    y = torch.tensor([[0.0], [1.0], [3.0], [10.0], [4.0]]).double()
    assert float(elicitation.quantile(y, 0.5)) == 3.0
    assert float(elicitation.expectile(y, 0.5)) == pytest.approx(3.6)
    e = float(elicitation.expectile(y, 0.9))
    first_order = sum((0.9 if v >= e else 0.1) * (v - e) for v in y.flatten().tolist())
    assert first_order == pytest.approx(0.0, abs=1e-12)
