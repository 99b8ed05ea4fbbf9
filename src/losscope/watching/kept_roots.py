"""What a backward pass of a kept update begins at, and how it comes of the modules' outputs."""

import math
from types import FrameType

from torch import Tensor

from losscope.anatomy.anatomy import Term
from losscope.anatomy.frame_tensors import constants
from losscope.anatomy.read import read
from losscope.core.text import Text
from losscope.objective.rebuild.refusal import NotRebuildable
from losscope.objective.rebuild.update import KeptTerm, Root
from losscope.watching.outer_calls import OuterCalls

_CANDIDATES = 8  # variables that are kept because one may be the target

_NOT_A_NUMBER = Text(
    en="a backward pass began at something else than one number", zh="反向传播的起点不是单个数"
)


def kept_root(calls: OuterCalls, root: Tensor, scale: float, frame: FrameType | None) -> Root:
    """A weighted sum of outputs, or else terms that the anatomy read. Raises ``NotRebuildable``, ``NotReadable``."""
    if root.numel() != 1:
        raise NotRebuildable(_NOT_A_NUMBER())
    value, number = float(root.detach()) / scale, len(calls.calls)
    sources = calls.sources(root)
    if sources is not None:
        found = tuple((factor / scale, place) for factor, place in sources)
        return Root(value, sources=found, calls=number)
    terms = read(root, scale=scale, deep=True, frame=frame).terms
    return Root(value, terms=tuple(_term(calls, term, frame) for term in terms), calls=number)


def _term(calls: OuterCalls, term: Term, frame: FrameType | None) -> KeptTerm:
    copied, candidates = [], []
    judges = term.spec is not None and len(term.spec.arguments) > 1
    if term.target is None and judges and frame is not None:
        size = math.prod(term.prediction_shape)
        near = [(n, t) for n, t in constants(frame) if 0 < t.numel() <= size]
        candidates = [(n, t.detach().clone()) for n, t in near[:_CANDIDATES]]
    if term.spec is not None and term.spec.task == "penalty":
        copied = [calls.copy_of(p) for p in term.parameters]
    return KeptTerm(
        kind=term.kind,
        spec=term.spec,
        coefficient=term.coefficient,
        reduction=term.reduction,
        value=term.value,
        options=dict(term.options),
        target=None if term.target is None else term.target.detach().clone(),
        weighted=term.sample_weight is not None,
        parameters=tuple(copied),
        candidates=tuple(candidates),
    )
