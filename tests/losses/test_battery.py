"""Every loss, read back from its own examples, and silent on its look-alikes."""

import pytest
import torch

from losscope.anatomy.read import read
from losscope.losses.catalogue import specs
from losscope.losses.examples import build, namespace
from losscope.losses.spec import Example, LossSpec, Twin

# PyTorch warns where a target is broadcast; that is the point of one example.
pytestmark = pytest.mark.filterwarnings("ignore:Using a target size")

EXAMPLES = [
    pytest.param(spec, example, id=f"{spec.name}-{i}")
    for spec in specs().values()
    for i, example in enumerate(spec.examples)
]
TWINS = [
    pytest.param(spec, twin, id=f"{spec.name}-{i}")
    for spec in specs().values()
    for i, twin in enumerate(spec.twins)
]


@pytest.mark.parametrize("spec", specs().values(), ids=lambda s: s.name)
def test_every_loss_has_a_contract_and_can_be_recognised(spec: LossSpec) -> None:
    """By a signature written by hand, with examples and look-alikes, or by its own function (test_templates.py)."""
    assert spec.range[0] < spec.range[1]
    assert spec.formula
    assert spec.title
    if spec.signatures or spec.combinations:
        assert spec.examples
        assert spec.twins
    else:
        assert spec.function


@pytest.mark.parametrize(("spec", "example"), EXAMPLES)
@pytest.mark.parametrize("seed", [0, 1])
def test_an_example_is_read_back(spec: LossSpec, example: Example, seed: int) -> None:
    names = namespace(seed)
    loss = build(example.code, names)
    anatomy = read(loss)
    assert [term.kind for term in anatomy.terms] == [spec.name], anatomy
    term = anatomy.terms[0]
    assert term.spec is spec
    assert term.coefficient == pytest.approx(example.coefficient, rel=1e-6)
    assert term.reduction == example.reduction
    assert anatomy.notes == ()
    assert anatomy.value == pytest.approx(loss.item(), rel=1e-12)
    assert term.value == pytest.approx(build(example.equals, names).item(), rel=1e-6, abs=1e-9)
    assert {k: term.options.get(k) for k in example.options} == dict(example.options)
    assert set(example.notes) == set(term.notes)
    assert term.activation == example.activation


@pytest.mark.parametrize(("spec", "example"), EXAMPLES)
def test_an_example_is_read_back_inside_a_sum(spec: LossSpec, example: Example) -> None:
    """Beside another loss the value must come from the saved tensors and not from the root."""
    names = namespace(2)
    other = torch.cos(names["u"]).sum()  # unknown on purpose, its value is the one had by difference
    anatomy = read(0.5 * build(example.code, names) + other)
    found = [t for t in anatomy.terms if t.kind == spec.name]
    assert len(found) == 1, anatomy
    assert found[0].coefficient == pytest.approx(0.5 * example.coefficient, rel=1e-6)
    assert found[0].reduction == example.reduction
    rest = [t for t in anatomy.terms if t.kind.startswith("unknown")]
    assert len(rest) == 1
    total = sum(t.coefficient * t.value for t in anatomy.terms if t.value is not None)
    if all(t.value is not None for t in anatomy.terms):
        assert total == pytest.approx(anatomy.value, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("spec", "twin"), TWINS)
def test_a_look_alike_is_not_taken_for_the_loss(spec: LossSpec, twin: Twin) -> None:
    anatomy = read(build(twin.code, namespace()))
    kinds = [term.kind for term in anatomy.terms]
    assert spec.name not in kinds, anatomy
    assert any(kind.startswith(twin.kind) for kind in kinds), anatomy
