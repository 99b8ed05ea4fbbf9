"""A loss computed wrongly is not called by its name: every loss with one number, operator or method changed."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator

import pytest
import torch
from objectives import inputs
from torch import Tensor

from losscope.anatomy.finder import UNCONFIRMED
from losscope.anatomy.read import read
from losscope.losses.catalogue import specs
from losscope.losses.spec import LossSpec, needed_options

MANY = 10  # mutants of one loss
pytestmark = pytest.mark.filterwarnings("ignore")

# Of losses with several targets a reading does not say what it takes for the second, so it cannot be checked here.
OWN = [
    spec
    for spec in specs().values()
    if not spec.signatures
    and not spec.combinations
    and getattr(spec.function, "__module__", "").startswith("losscope.")
    and sum(argument.role != "prediction" for argument in spec.arguments) <= 1
]
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
METHODS = {"log": "log1p", "exp": "expm1", "abs": "square", "square": "abs", "sum": "mean", "mean": "sum"}


def mutants(function: Callable[..., Tensor]) -> Iterator[Callable[..., Tensor]]:
    """The function with one number, one operator or one method changed."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)

    def made() -> Callable[..., Tensor]:
        names = dict(function.__globals__)
        exec(compile(ast.fix_missing_locations(tree), "<mutant>", "exec"), names)
        return names[definition.name]

    for node in ast.walk(ast.Module(definition.body, [])):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            kept, node.value = node.value, node.value + 1  # type: ignore[operator]
            yield made()
            node.value = kept
        elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            kept, node.op = node.op, OPERATORS[type(node.op)]()
            yield made()
            node.op = kept
        elif isinstance(node, ast.Attribute) and node.attr in METHODS:
            kept, node.attr = node.attr, METHODS[node.attr]
            yield made()
            node.attr = kept


def wrong(spec: LossSpec, function: Callable[..., Tensor]) -> str | None:
    """What a reading says falsely, and as confirmed, of the value of a mutant."""
    assert spec.function is not None
    options, case = needed_options(spec), inputs(spec, larger=False)
    try:
        loss = function(*case, **options)
        if loss.grad_fn is None or loss.numel() != 1 or not bool(loss.isfinite()):
            return None
    except Exception:  # noqa: BLE001  most changes make no loss
        return None
    for term in read(loss).terms:
        if term.kind == spec.name and UNCONFIRMED not in term.notes:
            known = inspect.signature(spec.function).parameters.keys() - {a.name for a in spec.arguments}
            options |= {name: value for name, value in term.options.items() if name in known}
            options |= {"reduction": term.reduction} if "reduction" in known else {}
            # The target is the one that the graph shows, which a mutant may have made of another.
            seen = list(case)
            first = next((k for k, a in enumerate(spec.arguments) if a.role == "target"), None)
            if first is not None and term.target is not None and term.target.shape == case[first].shape:
                seen[first] = term.target
            with torch.no_grad():
                claimed = term.coefficient * spec.function(*seen, **options).item()
            if claimed != pytest.approx(loss.item(), rel=1e-5, abs=1e-9):
                return f"{term.kind}({term.options}) of {claimed}, not {loss.item()}"
    return None


@pytest.mark.parametrize("spec", OWN, ids=lambda s: s.name)
def test_a_confirmed_reading_is_never_false(spec: LossSpec) -> None:
    assert spec.function is not None
    every = list(mutants(spec.function))
    some = every[:: max(1, len(every) // MANY)]
    assert [found for mutant in some if (found := wrong(spec, mutant))] == []


def test_mutants_differ_and_are_read() -> None:
    """The planted proof that the test above looks at something: most mutants run, and few keep the name."""
    spec = specs()["poly1"]
    assert spec.function is not None
    case = inputs(spec, larger=False)
    values = {round(mutant(*case).item(), 9) for mutant in mutants(spec.function)}
    assert len(values - {round(spec.function(*case).item(), 9)}) >= 2
