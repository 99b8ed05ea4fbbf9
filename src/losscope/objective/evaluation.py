"""Evaluate a model without leaving a trace: buffers, random state and ``.grad`` are as before.

A model in training mode is evaluated in training mode, since that is the objective that is trained: batch
normalisation uses the batch, dropout draws. Its masks are the same at every look at one batch, so that products with
one Hessian belong to one function. Attention takes the path that can be differentiated twice, and what is compiled runs
as it is written.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from losscope.core.errors import BadUsage
from losscope.objective.batches import Batch

Loss = Callable[..., Tensor]
Penalty = Callable[[nn.Module], Tensor]


class Whole(nn.Module):
    """Model, loss and penalty under one roof, so that one functional call swaps the parameters of all."""

    def __init__(self, model: nn.Module, loss: Loss | None, penalty: Penalty | None) -> None:
        super().__init__()
        self.model = model
        self.loss, self.penalty = loss, penalty  # a loss with weights of its own is registered by this

    def forward(self, what: str, batch: Batch | None) -> Any:
        """The "prediction" or "loss" of a batch, "both" of one evaluation, or the "penalty"."""
        if what == "penalty":
            assert self.penalty is not None
            return self.penalty(self.model)
        assert batch is not None
        output = self.model(*batch.inputs, **(batch.named or {}))
        if what == "prediction":
            return output
        if self.loss is None:
            loss = loss_within(output)
        else:
            loss = self.loss(output) if batch.target is None else self.loss(output, batch.target)
        return (output, loss) if what == "both" else loss


def loss_within(output: Any) -> Tensor:
    """The loss that a model returns: a scalar, ``.loss``, ``["loss"]``, or the first of a tuple."""
    found = output
    if isinstance(output, Mapping):
        found = output.get("loss")
    elif hasattr(output, "loss"):
        found = output.loss
    elif isinstance(output, tuple | list) and output:
        found = output[0]
    if not isinstance(found, Tensor):
        raise BadUsage(
            "the model returned no loss",
            seen=type(output).__name__,
            remedy="give a loss function, or the labels that make the model compute its loss",
        )
    return found


class Evaluator:
    """Calls of one :class:`Whole` at given parameters. ``seed`` fixes what the model draws, batch by batch."""

    def __init__(self, whole: Whole, names: list[str], seed: int) -> None:
        self.whole, self.names, self.seed = whole, names, seed

    def __call__(self, what: str, batch: Batch | None, index: int, parameters: list[Tensor] | None) -> Any:
        """Evaluate at ``parameters``, or at the model's own."""
        buffers = {name: buffer.clone() for name, buffer in self.whole.named_buffers()}
        given = {} if parameters is None else dict(zip(self.names, parameters, strict=True))
        with (
            fixed_randomness(self.seed + index),
            sdpa_kernel(SDPBackend.MATH),
            torch.enable_grad(),
            _not_compiled(),
        ):
            return functional_call(self.whole, {**buffers, **given}, (what, batch), tie_weights=True)


def _not_compiled() -> AbstractContextManager[Any]:
    """What is compiled runs as it is written: a compiled graph cannot be differentiated twice."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and the import takes seconds
        return nullcontext()
    return torch.compiler.set_stance("force_eager")


@contextmanager
def fixed_randomness(seed: int) -> Iterator[None]:
    """Random numbers of torch that depend on ``seed`` alone; the global state is untouched."""
    used = torch.cuda.is_available() and torch.cuda.is_initialized()
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if used else []):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed devices that are not in use
        if used:
            torch.cuda.manual_seed(seed)
        yield
