"""Every loss without a signature of its own, read back from the graph of its own function."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from objectives import layer, objective

from losscope.anatomy import catalogue
from losscope.anatomy.anatomy import Anatomy, Term
from losscope.anatomy.finder import Finder
from losscope.anatomy.read import read
from losscope.anatomy.recognise import Found, specs
from losscope.anatomy.survey import Candidate, forms, survey
from losscope.losses.graph.node import Graph
from losscope.losses.graph.part import Part
from losscope.losses.spec import LossSpec, needed_options

pytestmark = pytest.mark.filterwarnings("ignore")

CALLED = [spec for spec in specs().values() if spec.function is not None]
BY_TEMPLATE = [spec for spec in CALLED if not spec.signatures and not spec.combinations]
# What may stand against recognising a loss. These are rules, not names: each loss is asked by its survey.
HONEST = (
    "read as ",  # its graph is that of losses known by signatures, and is read as these
    "a part of it is read as ",
    "too few operations",
    "it draws random numbers",
    "its graph depends on the sizes or on the values of its inputs",
    "it has parameters of its own",
    "more than ",
    "the prediction itself",
)
# Pairs of losses of which one is a case of the other, with the reason. Both readings are right.
ALIASES: dict[frozenset[str], str] = {
    frozenset(
        {"poisson_deviance", "tweedie_deviance"}
    ): "the Tweedie deviance of power 1 is the Poisson deviance",
}


@pytest.fixture(scope="module", autouse=True)
def fresh_tree() -> Iterator[None]:
    """Templates of the losses as they are now, whatever the stored surveys say."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "_stored", dict)
        catalogue.tree.cache_clear()
        yield
    catalogue.tree.cache_clear()


def reasons(spec: LossSpec) -> tuple[str, ...]:
    """Why the loss with its default options has no template; empty where it has one."""
    usual = next(forms(spec), None)
    found = survey(spec)
    has = any((c.form.variant, c.form.arguments) == usual for c in found.candidates)
    return () if has else found.reasons


def check(anatomy: Anatomy, spec: LossSpec, value: float, coefficient: float = 1.0) -> Term:
    assert [term.kind for term in anatomy.terms] == [spec.name], anatomy
    term = anatomy.terms[0]
    assert term.spec is spec
    assert term.coefficient == pytest.approx(coefficient, rel=1e-6)
    assert term.reduction == "mean"
    assert term.value == pytest.approx(value, rel=1e-9, abs=1e-12)
    assert anatomy.notes == ()
    return term


def test_a_loss_without_signature_has_a_function() -> None:
    silent = [
        s.name for s in specs().values() if not s.signatures and not s.combinations and s.function is None
    ]
    assert silent == []


@pytest.mark.parametrize("spec", BY_TEMPLATE, ids=lambda s: s.name)
def test_a_loss_is_read_back_from_its_function(spec: LossSpec) -> None:
    loss, case = objective(spec)
    anatomy = read(loss)
    if why := reasons(spec):
        assert all(reason.startswith(HONEST) for reason in why), why
        kinds = {t.kind for t in anatomy.terms if t.spec and not (t.spec.signatures or t.spec.combinations)}
        assert kinds == set(), anatomy
        return
    term = check(anatomy, spec, loss.item())
    check(read(0.5 * loss), spec, loss.item(), 0.5)
    first = next(k for k, a in enumerate(spec.arguments) if a.role == "prediction")
    assert term.prediction_shape == tuple(case[first].shape)
    if term.prediction is not None and term.prediction_is == spec.input_space:
        assert torch.allclose(term.prediction, case[first].detach())
    target = next((t for a, t in zip(spec.arguments, case, strict=True) if a.role == "target"), None)
    if term.target is not None and target is not None:
        assert torch.allclose(term.target.double(), target.detach().double(), atol=1e-9)


@pytest.mark.parametrize("spec", BY_TEMPLATE, ids=lambda s: s.name)
def test_a_loss_is_read_back_inside_a_sum(spec: LossSpec) -> None:
    if reasons(spec):
        pytest.skip("read by other means: " + "; ".join(reasons(spec)))
    loss, _ = objective(spec)
    logits = layer(torch.randn(4, 3, dtype=torch.float64))
    for other, kind in (
        (F.cross_entropy(logits, torch.tensor([0, 1, 2, 0])), "cross_entropy"),
        (torch.cos(logits).sum(), "unknown"),
    ):
        anatomy = read(0.5 * loss + other)
        assert [t.kind.partition("(")[0] for t in anatomy.terms] == [spec.name, kind], anatomy
        assert anatomy.terms[0].coefficient == pytest.approx(0.5, rel=1e-6)
        if anatomy.terms[0].value is not None:
            assert anatomy.terms[0].value == pytest.approx(loss.item(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("spec", BY_TEMPLATE, ids=lambda s: s.name)
def test_every_variant_and_precision(spec: LossSpec) -> None:
    """What a variant is, a signature may say as well (a robust loss with exponent 2 is a squared error)."""
    if reasons(spec):
        pytest.skip("read by other means: " + "; ".join(reasons(spec)))
    for options in (needed_options(spec), *spec.variants):
        for dtype in (torch.float64, torch.float32):
            loss, _ = objective(spec, options, dtype=dtype)
            anatomy = read(loss)
            (term,) = anatomy.terms
            if term.kind != spec.name:
                assert term.spec is not None, (options, anatomy)
                by_hand = term.spec.signatures or term.spec.combinations
                assert by_hand or frozenset({term.kind, spec.name}) in ALIASES, (options, anatomy)
                continue
            assert term.value is not None
            expected = loss.item() if term.reduction == options.get("reduction", "mean") else None
            if expected is not None:
                assert term.value == pytest.approx(expected, rel=1e-5)
            for name, value in options.items():
                if isinstance(value, int | float) and name in term.options:
                    assert term.options[name] == pytest.approx(value, rel=1e-3), (options, anatomy)


@pytest.mark.parametrize("spec", BY_TEMPLATE, ids=lambda s: s.name)
def test_the_module_is_read_as_the_function_is(spec: LossSpec) -> None:
    if reasons(spec) or spec.module is None:
        pytest.skip("no module, or read by other means")
    loss, case = objective(spec)
    by_module = spec.module(**needed_options(spec))(*case)
    assert by_module.item() == loss.item()
    assert repr(read(by_module)) == repr(read(loss))


def weights(spec: LossSpec) -> dict[str, int]:
    """How much of a loss's objective each template explains that fits some part of it, whichever is named."""

    class Listening(Finder):
        def _claim(self, part: Part, known: Found | None, spec: LossSpec, candidate: Candidate) -> object:
            found = super()._claim(part, known, spec, candidate)
            if found is not None:
                heard[spec.name] = max(heard.get(spec.name, 0), found.bound.template.weight)
            return found

    heard: dict[str, int] = {}
    loss, _ = objective(spec)
    graph = Graph()
    assert loss.grad_fn is not None
    root = graph.node(loss.grad_fn, loss.output_nr)
    root.known = loss.detach()
    Listening().recognise(root)
    graph.close()
    return heard


@pytest.mark.parametrize("spec", CALLED, ids=lambda s: s.name)
def test_no_two_losses_are_confused(spec: LossSpec) -> None:
    """No other loss explains as much of a loss's graph; one that is part of it may explain that part."""
    heard = weights(spec)
    rivals = {name for name, weight in heard.items() if weight >= heard.get(spec.name, 0)} - {spec.name}
    assert {name for name in rivals if frozenset({name, spec.name}) not in ALIASES} == set()


def test_most_of_the_catalogue_is_recognised() -> None:
    """Losses that are read under their own name, by a signature or by a template."""
    named = [s.name for s in CALLED if [t.kind for t in read(objective(s)[0]).terms] == [s.name]]
    assert len(named) >= 0.8 * len(CALLED), sorted({s.name for s in CALLED} - set(named))
