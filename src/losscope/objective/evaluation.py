"""Evaluate a model without leaving a trace: parameters, buffers, random state and ``.grad`` are as before.

A model in training mode is evaluated in training mode, since that is the objective that is trained: batch
normalisation uses the batch, dropout draws. Its masks are the same at every look at one batch, so that products with
one Hessian belong to one function. Attention and weight normalisation take the path that can be differentiated twice,
what is compiled runs as it is written, and activations are kept where the model would compute them again
(``recomputation.py``).
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from losscope.core.errors import BadUsage
from losscope.objective import calls
from losscope.objective.arguments import Loss, Penalty, WeightDecay
from losscope.objective.batches import Batch
from losscope.objective.precision import autocast_of_now
from losscope.objective.randomness import fixed_randomness
from losscope.objective.recomputation import checkpointing_off
from losscope.objective.weight_norm import weight_norm_by_parts
from losscope.objective.writes import kept_attributes, watch_parameters


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
            return self.penalty(self if isinstance(self.penalty, WeightDecay) else self.model)
        assert batch is not None
        with calls.of_model(self.model, batch.inputs, batch.named):
            output = self.model(*batch.inputs, **(batch.named or {}))
        if what == "prediction":
            return output
        if self.loss is None:
            loss = loss_within(output)
        else:
            with calls.of_loss(output, batch.target):
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

    def __init__(self, whole: Whole, names: list[str], trained: list[nn.Parameter], seed: int) -> None:
        self.whole, self.names, self.trained, self.seed = whole, names, trained, seed
        self._written: set[str] = set()
        self._seen: tuple[Any, set[int]] = (None, set())
        self._autocast = autocast_of_now(trained[0].device)

    def __call__(self, what: str, batch: Batch | None, index: int, parameters: list[Tensor] | None) -> Any:
        """Evaluate at ``parameters``, or at the model's own.

        Whether the model writes into parameters of its own is watched at the first evaluation of a batch, and again
        after a change of modes or parameters. Those that it writes into are handed in as copies.
        """
        self._the_same()
        now = [m.training for m in self.whole.modules()], [p._version for p in self.whole.parameters()]
        if self._seen[0] != now:
            self._seen = now, set()
        if index not in self._seen[1]:
            with watch_parameters(self.whole) as changed:
                found = self._called(what, batch, index, None)
            self._seen[1].add(index)
            self._written |= changed
            if parameters is None and not changed:
                return found
        return self._called(what, batch, index, parameters)

    def _the_same(self) -> None:
        """Raises ``BadUsage`` where the model has been given other parameters, or some were frozen."""
        own = dict(self.whole.named_parameters())
        for name, before in zip(self.names, self.trained, strict=True):
            if own.get(name) is not before or not before.requires_grad:
                raise BadUsage(
                    "the model has other parameters than when the objective was made: make it anew",
                    seen=name.removeprefix("model.")
                    + (" is frozen" if own.get(name) is before else " was replaced"),
                )

    def _called(self, what: str, batch: Batch | None, index: int, parameters: list[Tensor] | None) -> Any:
        with (
            fixed_randomness(self.seed + index),
            sdpa_kernel(SDPBackend.MATH),
            differentiable(),
            _not_compiled(),
            self._autocast(),
            checkpointing_off(),
            weight_norm_by_parts(),
            kept_attributes(self.whole),
        ):
            own = dict(self.whole.named_parameters()) if self._written else {}
            copies = {name: own[name].clone() for name in self._written}
            if parameters is not None:  # views of a vector that is the caller's
                copies |= {name: p.clone() for name, p in zip(self.names, parameters, strict=True)}
            buffers = {name: buffer.clone() for name, buffer in self.whole.named_buffers()}
            return functional_call(self.whole, {**buffers, **copies}, (what, batch), tie_weights=True)


@contextmanager
def differentiable(graphs: bool = True) -> Iterator[None]:
    """Graphs are recorded, whatever the caller has switched off. ``graphs=False``: as under ``torch.no_grad``."""
    with torch.inference_mode(False), torch.set_grad_enabled(graphs):
        yield


def _not_compiled() -> AbstractContextManager[Any]:
    """What is compiled runs as it is written: a compiled graph cannot be differentiated twice."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and the import takes seconds
        return nullcontext()
    return torch.compiler.set_stance("force_eager")
