"""The softmax or sigmoid before a loss that applies its own is taken away.

Known where the file has a single such activation, and this is an argument of the loss, or the last layer of an
``nn.Sequential`` or what a ``forward`` returns, of a model that is called for the loss.
"""

import ast
from collections.abc import Callable

from losscope.core.finding import Finding
from losscope.report.fix import Edit, Fix, Source, last_name

_NAMES = {"double-softmax": ("Softmax", "softmax"), "sigmoid-before-logits-loss": ("Sigmoid", "sigmoid")}


def edit(source: Source, finding: Finding) -> Edit | None:
    layer, function = _NAMES[finding.code]
    layers, functions = source.calls(layer), source.calls(function)
    if len(layers) == 1 and not functions:
        return _last_layer(source, layers[0], finding) or _own_layer(source, layers[0], finding)
    if len(functions) != 1 or layers:
        return None
    call = functions[0]
    return (
        _unwrapped(source, call)
        if _is_returned(source, call, finding) or _at(source, call, finding)
        else None
    )


def _last_layer(source: Source, layer: ast.Call, finding: Finding) -> Edit | None:
    """``nn.Sequential(…, nn.Softmax(1))`` without it."""
    for call in source.calls("Sequential"):
        if not call.args or call.args[-1] is not layer or len(call.args) < 2:
            continue
        if not _feeds_loss(source, _variables(source, lambda n, c=call: n is c), finding):
            return None
        before, line = call.args[-2], source.lines[layer.lineno - 1]
        if source.text(layer) is None:
            return None
        if line.strip().rstrip(",") == source.text(layer):
            return Edit(layer.lineno, None)
        if before.end_lineno == layer.lineno:
            return Edit(layer.lineno, line[: before.end_col_offset] + line[layer.end_col_offset :])
    return None


def _own_layer(source: Source, layer: ast.Call, finding: Finding) -> Edit | None:
    """``return self.softmax(x)`` without it, where the layer is assigned to ``self.softmax``."""
    names = {
        t.attr
        for n in ast.walk(source.tree)
        if isinstance(n, ast.Assign) and n.value is layer
        for t in n.targets
        if isinstance(t, ast.Attribute)
    }
    uses = source.calls(*names) if len(names) == 1 else []
    return _unwrapped(source, uses[0]) if len(uses) == 1 and _is_returned(source, uses[0], finding) else None


def _is_returned(source: Source, call: ast.Call, finding: Finding) -> bool:
    """Whether the call is all that the ``forward`` of a model returns that is called for the loss."""
    for kind in (n for n in ast.walk(source.tree) if isinstance(n, ast.ClassDef)):
        for function in kind.body:
            if isinstance(function, ast.FunctionDef) and function.name == "forward":
                returns = [n.value for n in ast.walk(function) if isinstance(n, ast.Return)]
                made = _variables(
                    source, lambda n, k=kind: isinstance(n, ast.Call) and last_name(n.func) == k.name
                )
                if returns == [call] and _feeds_loss(source, made, finding):
                    return True
    return False


def _variables(source: Source, is_maker: Callable[[ast.AST], bool]) -> set[str]:
    """Variables whose value is made by an expression of that kind."""
    return {
        target.id
        for n in ast.walk(source.tree)
        if isinstance(n, ast.Assign) and any(is_maker(part) for part in ast.walk(n.value))
        for target in n.targets
        if isinstance(target, ast.Name)
    }


def _feeds_loss(source: Source, models: set[str], finding: Finding) -> bool:
    """Whether one of the models is called in the statement of the loss, or for a variable that stands in it."""
    assert finding.where is not None
    statements = source.statements_at(finding.where.line)
    names = {n.id for s in statements for n in ast.walk(s) if isinstance(n, ast.Name)}
    made = _variables(source, lambda n: isinstance(n, ast.Call) and last_name(n.func) in models)
    direct = any(
        last_name(c.func) in models for s in statements for c in ast.walk(s) if isinstance(c, ast.Call)
    )
    return direct or bool(made & names)


def _at(source: Source, call: ast.Call, finding: Finding) -> bool:
    """Whether the call is an argument of one with another argument, in the statement that builds the loss."""
    assert finding.where is not None
    parts = (n for s in source.statements_at(finding.where.line) for n in ast.walk(s))
    return any(
        isinstance(n, ast.Call) and n.args[:1] == [call] and len(n.args) + len(n.keywords) > 1 for n in parts
    )


def _unwrapped(source: Source, call: ast.Call) -> Edit | None:
    """What the activation is applied to, in its place."""
    method = isinstance(call.func, ast.Attribute) and not _is_module(call.func.value)
    inner = call.func.value if method and isinstance(call.func, ast.Attribute) else (call.args or [None])[0]
    own = isinstance(call.func, ast.Attribute) and last_name(call.func.value) == "self"
    if own:
        inner = (call.args or [None])[0]
    text = source.text(inner) if inner is not None else None
    return source.replaced(call, text) if text is not None else None


def _is_module(node: ast.expr) -> bool:
    """Whether this is ``torch``, ``F`` or ``nn.functional`` rather than a tensor."""
    return last_name(node) in ("torch", "F", "functional", "special")


FIX = Fix(codes=tuple(_NAMES), edit=edit)
