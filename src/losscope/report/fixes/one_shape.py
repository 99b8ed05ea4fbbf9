"""One side of a comparison in the shape of the other: ``F.mse_loss(p.reshape_as(y), y)`` for ``F.mse_loss(p, y)``.

Known where the statement of the loss has one call with two arguments of that kind, or one difference, and one side is a
plain variable. It is right whichever of the two is the prediction.
"""

import ast

from losscope.core.finding import Finding
from losscope.report.fix import Edit, Fix, Source, last_name

_LOSSES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss", "soft_margin_loss")
_CRITERIA = ("criterion", "loss_fn", "loss_fun", "loss_func", "mse", "l1")


def edit(source: Source, finding: Finding) -> Edit | None:
    assert finding.where is not None
    statements = source.statements_at(finding.where.line)
    if len(statements) != 1:
        return None
    calls = [c for c in source.calls(*_LOSSES, *_CRITERIA, within=statements[0]) if len(c.args) == 2]
    differences = [
        n for n in ast.walk(statements[0]) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Sub)
    ]
    sides = [(c.args[0], c.args[1]) for c in calls] + [(d.left, d.right) for d in differences]
    if len(sides) != 1:
        return None
    shaped, like = sides[0] if isinstance(sides[0][1], ast.Name) else sides[0][::-1]
    text = source.text(shaped)
    if not isinstance(like, ast.Name) or text is None or isinstance(shaped, ast.Constant):
        return None
    simple = bool(last_name(shaped)) or isinstance(shaped, ast.Call | ast.Subscript)
    return source.replaced(shaped, f"{text if simple else f'({text})'}.reshape_as({like.id})")


FIX = Fix(codes=("shape-broadcast",), edit=edit)
