"""The path of boxes: one box is moved across the other. What else is predicted is right and sure."""

from collections.abc import Iterator

from losscope.losses.paths.path import MARGIN, Path, filled, kinds_of, numbers, shape_of
from losscope.losses.spec import LossSpec

_SURE = {"binary-logits": MARGIN, "binary": 1.0}


def paths(spec: LossSpec) -> Iterator[Path]:
    """One for every loss that takes boxes and, beside them, no more than scores and labels."""
    kinds = kinds_of(spec)
    if not {"boxes", "target-boxes"} <= set(kinds) or set(kinds) - {"boxes", "target-boxes", *_SURE}:
        return
    box, way = numbers(0, 0, 1, 1)[None], numbers(1, 0, 1, 0)[None]
    sure = [filled(_SURE[a.kind], *shape_of(spec, a)) if a.kind in _SURE else box for a in spec.arguments]
    moved = kinds.index("boxes")
    yield Path(
        label="shift of the box by its own width" + ("; its class is right" if len(kinds) > 2 else ""),
        low=-2.0,
        high=2.0,
        at=lambda x: tuple(box + x * way if i == moved else value for i, value in enumerate(sure)),
        perfect=0.0,
    )
