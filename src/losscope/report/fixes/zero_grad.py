"""``optimizer.zero_grad()`` before the backward pass of the loop that the loss is in.

Known where the file clears no gradient anywhere, and one loop has, side by side, one ``….backward()`` and the step of
one variable that is an optimiser.
"""

import ast

from losscope.core.finding import Finding
from losscope.report.fix import Edit, Fix, Source, last_name


def edit(source: Source, finding: Finding) -> Edit | None:
    if source.calls("zero_grad", "fit", "GradScaler", "Accelerator") or _writes_grad(source):
        return None
    bodies = [n.body for n in ast.walk(source.tree) if isinstance(n, ast.For | ast.While)]
    found = [pair for body in bodies if (pair := _pair(body)) is not None]
    assert finding.where is not None
    if len(found) != 1 or len(source.calls("backward")) != 1:
        return None
    backward, name = found[0]
    if not _is_optimizer(source, name):
        return None
    line = source.lines[backward.lineno - 1]
    return Edit(backward.lineno, line[: backward.col_offset] + f"{name}.zero_grad()", before=True)


def _pair(body: list[ast.stmt]) -> tuple[ast.stmt, str] | None:
    """The statement of the backward pass, and the variable that steps after it."""
    backward = [s for s in body if _called(s) == "backward"]
    steps = [s.value.func.value for s in body if _called(s) == "step"]  # pyright: ignore
    names = {n.id for n in steps if isinstance(n, ast.Name) and "sched" not in n.id.lower()}
    return (backward[0], names.pop()) if len(backward) == 1 and len(names) == 1 else None


def _called(statement: ast.stmt) -> str:
    """The method that a statement calls, and does nothing else."""
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return ""
    function = statement.value.func
    return function.attr if isinstance(function, ast.Attribute) else ""


def _is_optimizer(source: Source, name: str) -> bool:
    """Whether the variable is assigned once in the file, from a class that is called with a learning rate."""
    values = [
        n.value
        for n in ast.walk(source.tree)
        if isinstance(n, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in n.targets)
    ]
    if len(values) != 1 or not isinstance(values[0], ast.Call):
        return False
    parameters = source.calls("parameters", "named_parameters", within=values[0])
    return bool(parameters) and last_name(values[0].func)[:1].isupper()


def _writes_grad(source: Source) -> bool:
    targets = (t for n in ast.walk(source.tree) if isinstance(n, ast.Assign) for t in n.targets)
    return any(isinstance(t, ast.Attribute) and t.attr == "grad" for t in targets)


FIX = Fix(codes=("missing-zero-grad",), edit=edit)
