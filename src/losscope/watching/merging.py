"""One update may have several backward roots: their anatomies become one objective."""

from collections.abc import Sequence
from dataclasses import replace

from losscope.anatomy.anatomy import Anatomy


def merged(anatomies: Sequence[Anatomy]) -> Anatomy:
    """The sum of the roots. Equal roots (gradient accumulation) are stated once."""
    first = anatomies[0]
    different = [a for i, a in enumerate(anatomies) if all(a.signature != b.signature for b in anatomies[:i])]
    if len(different) == 1:
        return first
    leaves = {id(p): p for a in different for p in a.parameters}
    return replace(
        first,
        expression=" + ".join(a.expression for a in different),
        terms=tuple(t for a in different for t in a.terms),
        value=sum(a.value for a in different),
        signature="+".join(a.signature for a in different),
        parameters=tuple(leaves.values()),
    )
