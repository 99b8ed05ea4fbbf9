"""Tables of every pair in the elementwise part of a loss, whatever loss it is."""

from losscope.losses.graph.differences import residual, table_notes
from losscope.losses.graph.node import Node
from losscope.losses.graph.outer import is_table, stretched_axes
from losscope.losses.graph.part import VIEWS, Part

# Monotone in the size of a difference and without bound, so that a difference below them is an error to be made small;
# an exponential would make it a kernel.
_OF_ERRORS = frozenset(
    {
        "Abs",
        "Add",
        "Clamp",
        "ClampMax",
        "ClampMin",
        "Div",
        "Log",
        "Log1P",
        "Mean",
        "Mul",
        "Neg",
        "Pow",
        "Relu",
    }
    | {"Softplus", "Sqrt", "Sub", "Rsub", "Sum", "Where"}
)
_OF_PRODUCTS = _OF_ERRORS | {
    "Exp",
    "Expm1",
    "LogSigmoid",
    "Maximum",
    "Minimum",
    "Reciprocal",
    "Sigmoid",
    "Tanh",
}
_NODES = 24  # operations of one loss written by hand; a model is deeper


_OVER_BATCH = frozenset({"Amax", "Amin", "Mean", "Sort", "Std", "Sum", "Var"})


def batch_notes(prediction: Node | None) -> tuple[str, ...]:
    """``batch-statistic`` where what is compared was reduced or sorted over the first axis: a mean of the batch.

    Such a prediction does not belong to a sample, and a constant is no rival of it: both sides vary with the draw.
    """
    node = prediction.skip(VIEWS) if prediction is not None else None
    inner = node.inputs[0] if node is not None and node.op in _OVER_BATCH else None
    if node is None or inner is None or not inner.shape or inner.shape[0] < 2:
        return ()
    dims = node.option("dim")
    whole = dims is None or dims == ()
    axes = (dims,) if isinstance(dims, int) else dims or ()
    first = any(axis % len(inner.shape) == 0 for axis in axes) and (len(inner.shape) > 1 or node.op == "Sort")
    return ("batch-statistic",) if first or (whole and len(inner.shape) > 1) else ()


def part_notes(part: Part) -> tuple[str, ...]:
    """``shape-broadcast`` (or ``all-pairs``) where a prediction meets constants in a table of every pair.

    Found are products with constants and differences to constants among the elementwise operations of the part.
    """
    if any(_multiplies_table(node) for node, _ in part.route if node.op == "Mul"):
        return ("shape-broadcast",)
    waiting, seen = [(part.node, True)], 0
    while waiting and seen < _NODES:
        node, errors = waiting.pop()
        seen += 1
        if node.op not in _OF_PRODUCTS | VIEWS:
            continue
        errors = errors and node.op in _OF_ERRORS | VIEWS
        found = _notes_of(node, errors=errors)
        if found:
            return found
        waiting += [(child, errors) for child in node.inputs if child is not None]
    return ()


def _notes_of(node: Node, *, errors: bool) -> tuple[str, ...]:
    if node.op == "Mul":
        return ("shape-broadcast",) if _multiplies_table(node) else ()
    if errors and node.op in ("Sub", "Rsub"):
        found = residual(node)
        if found is not None and found.target is None:
            return table_notes(found)
    return ()


def _multiplies_table(node: Node) -> bool:
    inputs = [*node.inputs, None][:2]
    for child, name in ((inputs[0], "other"), (inputs[1], "self")):
        constant = node.saved(name)
        if child is None or constant is None or inputs.count(None) != 1:
            continue
        ours = stretched_axes(child.shape, node.shape)
        theirs = stretched_axes(tuple(constant.shape), node.shape)
        if is_table(ours, theirs, node.shape):
            return True
    return False
