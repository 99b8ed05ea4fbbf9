"""``losscope.read``: the objective as a sum of terms, read off the graph of a live loss tensor.

The loss is taken apart along its linear structure (sums, factors, reductions, views), and each part is
matched with the signatures of the losses in ``losscope.losses``, then with the graphs that their own
functions make (``catalogue.py``). Nothing is recomputed that runs user code, no saved-tensor hook fires,
and no operation is recorded. What is not recognised is reported as ``unknown(...)`` with the names of its
nodes.

Cost: 50-300 µs for an ordinary objective, plus about 1 µs per node of the graph with ``deep=True``; about
1-2 ms more for a loss that is recognised by its own function, and 10-20 ms the first time.
"""

import math
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from losscope.anatomy.anatomy import Anatomy, Term
from losscope.anatomy.expression import expression, signature
from losscope.anatomy.finder import Finder
from losscope.anatomy.merge import merge
from losscope.anatomy.quiet import Quiet
from losscope.anatomy.reach import leaves_below, reached_parameters
from losscope.anatomy.terms import terms_of
from losscope.core.errors import NotReadable
from losscope.losses.graph.node import Graph, is_plain


def read(loss: Tensor, *, scale: float = 1.0, deep: bool = True, frame: FrameType | None = None) -> Anatomy:
    """Read the objective that ``loss`` is the value of.

    Call it before ``loss.backward()``: afterwards the saved tensors are gone and values are unknown.
    ``scale`` is divided out of the value and of all coefficients (AMP's loss scale). ``deep=False``
    leaves out the walk over the whole graph that finds the parameters each term reaches. ``frame`` is
    the caller's frame, where names and tensors that the graph does not hold are looked up.

    Raises ``NotReadable`` for what is not a scalar tensor with an autograd graph; anything else that
    cannot be read becomes an ``unknown`` term.

    >>> import torch
    >>> logits = torch.zeros(4, 3, requires_grad=True) * 1
    >>> read(torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])))
    1.0 · cross_entropy(logits[4,3], y; mean)
    """
    _check(loss)
    if not is_plain(loss):
        return _blind(loss, scale, "tensor-subclass")
    if loss.is_cuda and torch.cuda.is_current_stream_capturing():
        return _blind(loss, scale, "graph-capture")
    graph = Graph()
    try:
        with Quiet():
            return _read(graph, loss, scale, deep, frame)
    except Exception as error:  # noqa: BLE001 - reading must never stop a training run
        return _blind(loss, scale, f"internal-error: {type(error).__name__}: {error}")
    finally:
        graph.close()


def _check(loss: Any) -> None:
    if not isinstance(loss, Tensor):
        raise NotReadable(
            "an objective is read from a loss tensor",
            seen=type(loss).__name__,
            remedy="pass the tensor on which you call backward()",
        )
    if loss.grad_fn is None:
        raise NotReadable(
            "the tensor has no autograd graph",
            seen="a leaf" if loss.requires_grad else "requires_grad=False",
            remedy="compute the loss outside torch.no_grad() from parameters that require gradients, "
            "without .detach(), .item() or .data on the way",
        )
    if loss.numel() != 1:
        raise NotReadable(
            "an objective is one number",
            seen=f"shape {tuple(loss.shape)}",
            remedy="reduce it first, for instance with .mean()",
        )


def _read(graph: Graph, loss: Tensor, scale: float, deep: bool, frame: FrameType | None) -> Anatomy:
    root = graph.node(loss.grad_fn, loss.output_nr)
    root.known = value = loss.detach()
    found, decomposition = Finder().recognise(root)
    number = float(value) / scale
    terms = merge(terms_of(found, decomposition, number, scale, deep=deep, frame=frame))
    parameters = tuple(leaves_below([loss.grad_fn])) if deep else ()
    return Anatomy(expression(terms), terms, number, signature(terms), parameters, tuple(sorted(graph.notes)))


def _blind(loss: Tensor, scale: float, why: str) -> Anatomy:
    """An honest reading of what cannot be looked into."""
    name = loss.grad_fn.name() if loss.grad_fn is not None else "?"
    value = float(loss.detach()) / scale if is_plain(loss) and why != "graph-capture" else math.nan
    kind = f"unknown({name})"
    term = Term(
        kind, None, 1.0, "none", None if math.isnan(value) else value, chain=(name,), notes=("blind-spot",)
    )
    try:
        parameters = tuple(reached_parameters(loss))
    except RuntimeError:
        parameters = ()
    return Anatomy(expression([term]), (term,), value, signature([term]), parameters, (why,))
