"""``.detach()`` is taken away where it cuts the way of the gradient.

Known where the file cuts in no other way, and has one ``.detach()``, of the output of a module whose parameters the
optimiser's line has, or which the finding names.
"""

import ast
import re
from typing import TypeGuard

from losscope.core.finding import Finding
from losscope.report.fix import Edit, Fix, Source, last_name

_OTHER_CUTS = (
    "no_grad",
    "inference_mode",
    "item",
    "numpy",
    "tolist",
    "tensor",
    "requires_grad_",
    "set_grad_enabled",
)


def edit(source: Source, finding: Finding) -> Edit | None:
    assert finding.where is not None
    calls = [c for c in source.calls("detach") if isinstance(c.func, ast.Attribute) and not c.args]
    if len(calls) != 1 or source.calls(*_OTHER_CUTS) or _has_data(source):
        return None
    cut = calls[0].func
    assert isinstance(cut, ast.Attribute)
    holds = [
        n for n in ast.walk(source.tree) if isinstance(n, ast.Assign | ast.Return) and calls[0] in ast.walk(n)
    ]
    if len(holds) != 1 or not isinstance(cut.value, ast.Call):
        return None
    held = {
        last_name(n) for s in source.statements_at(finding.where.line) for n in ast.walk(s) if _is_name(n)
    }
    told = set(re.findall(r"\w+", " ".join(map(str, finding.remedy.values.values()))))
    if last_name(cut.value.func) not in held | told:
        return None
    text = source.text(cut.value)
    return source.replaced(calls[0], text) if text is not None else None


def _is_name(node: ast.AST) -> TypeGuard[ast.expr]:
    return isinstance(node, ast.Name | ast.Attribute)


def _has_data(source: Source) -> bool:
    return any(isinstance(n, ast.Attribute) and n.attr == "data" for n in ast.walk(source.tree))


FIX = Fix(codes=("graph-broken",), edit=edit)
