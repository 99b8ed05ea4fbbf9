"""The learning rate that an experiment found better, where the optimiser's line has it as a number."""

import ast
import math

from losscope.core.finding import Finding
from losscope.report.fix import Edit, Fix, Source

_LABEL = "learning rate ×"


def edit(source: Source, finding: Finding) -> Edit | None:
    trial, where = finding.trial, finding.where
    if trial is None or trial.outcome != "confirmed" or where is None:
        return None
    ends = {n.removeprefix(_LABEL): c[-1] for n, c in trial.curves.items() if n.startswith(_LABEL) and c}
    tried = {float(factor): end for factor, end in ends.items() if math.isfinite(end)}
    statements = source.statements_at(where.line)
    rates = [
        k.value
        for s in statements
        for c in ast.walk(s)
        if isinstance(c, ast.Call)
        for k in c.keywords
        if k.arg == "lr"
    ]
    if not tried or len(rates) != 1 or not isinstance(rates[0], ast.Constant):
        return None
    rate, factor = rates[0].value, min(tried, key=lambda f: tried[f])
    if not isinstance(rate, int | float) or factor == 1.0:
        return None
    return source.replaced(rates[0], f"{rate * factor:.3g}")


FIX = Fix(codes=("learning-rate-too-high", "learning-rate-too-low"), edit=edit)
