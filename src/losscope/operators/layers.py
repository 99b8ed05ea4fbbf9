"""A network layer by layer: inputs a and output gradients g of each call, from which per-sample gradients follow.

The gradient of a sample's loss by the weights of a linear layer is Σ_t g_t a_tᵀ over its places t (tokens, pixels). So
squared norms and scalar products of per-sample gradients need a and g alone, never the gradients themselves
(Goodfellow, 2015, arXiv:1510.01799; for sequences, with T places, the cheaper of T² (d_in + d_out) and T d_in d_out).

That holds where samples do not meet (batch normalisation in training mode mixes them) and where the first axis of every
input runs over samples, possibly with their places behind. Both are checked on two samples against plain backward
passes; where the check fails, or a parameter belongs to no layer of a known kind, this is said and not used.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from losscope.core.errors import NotReadable
from losscope.objective.objective import Objective
from losscope.operators.linearisation import Linearisation, linearise_one


@dataclass(eq=False)
class Call:
    """One call of a layer: its module, input and output. The output is part of the graph."""

    module: nn.Module
    input: Tensor
    output: Tensor

    def prepared(self, samples: int) -> Tensor:
        """What the factors take from the input, whatever the output's gradient is: patches of a convolution, say."""
        return _kind(self.module)[0](self.module, self.input, samples)

    def factors(self, prepared: Tensor, g: Tensor, samples: int) -> "Iterator[tuple[Tensor, Factors]]":
        """Each parameter of the module, with the factors of its per-sample gradients."""
        if prepared.is_floating_point() and prepared.dtype != g.dtype:  # under autocast
            wide = torch.promote_types(prepared.dtype, g.dtype)
            prepared, g = prepared.to(wide), g.to(wide)
        pairs = _kind(self.module)[1](self.module, prepared, g, samples)
        return (pair for pair in pairs if pair[0] is not None)


class Factors:
    """What one call adds to the per-sample gradient of one parameter, for ``n`` samples.

    ``left`` [n, t, p] and ``right`` [n, t, q]: the gradient of sample i is Σ_t left_it ⊗ right_it; without ``right``
    it is Σ_t left_it.
    """

    def __init__(self, left: Tensor, right: Tensor | None) -> None:
        if right is None:
            left = left.sum(1, keepdim=True)
        self.left, self.right = left, right

    def dense(self) -> Tensor:
        """The gradients themselves, [n, p·q]."""
        if self.right is None:
            return self.left[:, 0]
        return torch.bmm(self.left.transpose(1, 2), self.right).flatten(1)

    def at(self, samples: Sequence[int]) -> "Factors":
        """Those of some samples."""
        return Factors(self.left[samples], None if self.right is None else self.right[samples])

    def squares(self) -> Tensor:
        """Squared norms, [n]."""
        if self.right is None:
            return self.left[:, 0].square().sum(1)
        (_, t, p), q = self.left.shape, self.right.shape[2]
        if t * (p + q) <= p * q:
            one = torch.bmm(self.left, self.left.transpose(1, 2))
            return (one * torch.bmm(self.right, self.right.transpose(1, 2))).sum((1, 2))
        return self.dense().square().sum(1)


def _by_sample(value: Tensor, samples: int, features: int) -> Tensor:
    """[n, places, features], for a value whose leading axis runs over samples (and places)."""
    return value.reshape(samples, -1, features)


def _linear_input(module: Any, a: Tensor, n: int) -> Tensor:
    return _by_sample(a, n, module.in_features)


def _linear(module: Any, a: Tensor, g: Tensor, n: int) -> Iterator[tuple[Tensor, Factors]]:
    left = _by_sample(g, n, module.out_features)
    yield module.weight, Factors(left, a)
    yield module.bias, Factors(left, None)


def _conv_input(module: Any, a: Tensor, n: int) -> Tensor:
    if module.groups != 1 or module.padding_mode != "zeros" or len(a) != n:
        raise NotReadable(
            "the convolution has groups or a padding of its own", seen=f"groups={module.groups}"
        )
    padding = _same_padding(module) if isinstance(module.padding, str) else module.padding
    return F.unfold(a, module.kernel_size, module.dilation, padding, module.stride).transpose(1, 2)


def _conv(module: Any, patches: Tensor, g: Tensor, _: int) -> Iterator[tuple[Tensor, Factors]]:
    left = g.flatten(2).transpose(1, 2)
    yield module.weight, Factors(left, patches)
    yield module.bias, Factors(left, None)


def _same_padding(module: nn.Conv2d) -> tuple[int, ...]:
    if module.padding == "valid":
        return (0, 0)
    totals = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    if any(total % 2 for total in totals):
        raise NotReadable("the convolution is padded unevenly", seen="padding='same'")
    return tuple(total // 2 for total in totals)


def _embedding_input(module: Any, a: Tensor, n: int) -> Tensor:
    if module.max_norm is not None or module.scale_grad_by_freq:
        raise NotReadable("the embedding rescales its gradients or weights", seen="max_norm")
    hot = F.one_hot(a.reshape(n, -1), module.num_embeddings).to(module.weight.dtype)
    if module.padding_idx is not None:
        hot[..., module.padding_idx] = 0
    return hot


def _embedding(module: Any, hot: Tensor, g: Tensor, n: int) -> Iterator[tuple[Tensor, Factors]]:
    yield module.weight, Factors(hot.to(g.dtype), _by_sample(g, n, module.embedding_dim))


def _norm_input(module: Any, a: Tensor, _: int) -> Tensor:
    """The normalised input, before scale and shift."""
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        if len(module.normalized_shape) != 1:
            raise NotReadable("a norm over several axes", seen=str(module.normalized_shape))
        if isinstance(module, nn.LayerNorm):
            return F.layer_norm(a, module.normalized_shape, eps=module.eps)
        return F.rms_norm(a, module.normalized_shape, eps=module.eps)
    if isinstance(module, nn.GroupNorm):
        return F.group_norm(a, module.num_groups, eps=module.eps)
    if module.training or not module.track_running_stats:
        raise NotReadable(
            "batch normalisation in training mode mixes the samples", seen=type(module).__name__
        )
    return F.batch_norm(a, module.running_mean, module.running_var, eps=module.eps)


def _norm(module: Any, plain: Tensor, g: Tensor, n: int) -> Iterator[tuple[Tensor, Factors]]:
    for name, value in (("weight", plain * g), ("bias", g)):
        parameter: Any = getattr(module, name, None)
        if parameter is None:
            continue
        if isinstance(module, nn.LayerNorm | nn.RMSNorm):
            left = _by_sample(value, n, module.normalized_shape[0])
        else:
            left = value.flatten(2).transpose(1, 2) if value.dim() > 2 else value[:, None]
        yield parameter, Factors(left, None)


Prepare = Callable[[Any, Tensor, int], Tensor]
Split = Callable[[Any, Tensor, Tensor, int], Iterator[tuple[Tensor, Factors]]]
_NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_KINDS: tuple[tuple[type | tuple[type, ...], Prepare, Split], ...] = (
    (nn.Linear, _linear_input, _linear),
    (nn.Conv2d, _conv_input, _conv),
    (nn.Embedding, _embedding_input, _embedding),
    (_NORMS, _norm_input, _norm),
)


def _known(module: nn.Module) -> bool:
    return any(isinstance(module, kind) for kind, _, _ in _KINDS)


def _kind(module: nn.Module) -> tuple[Prepare, Split]:
    return next((prepare, split) for kind, prepare, split in _KINDS if isinstance(module, kind))


class Layers:
    """One batch of an objective with the calls of its layers. Raises ``NotReadable``, with the reason."""

    def __init__(self, objective: Objective, index: int, chosen: dict[int, list[int]] | None = None) -> None:
        self.parameters = objective.parameters
        self._position = {id(p): i for i, p in enumerate(objective.parameters)}
        _ = objective.coefficients  # which evaluates every batch, once: not to be recorded
        with _recorded(objective.whole, self._position) as calls:
            self.batch: Linearisation = linearise_one(objective, index, chosen)
        self.calls = calls
        if self.batch.samples is None:
            raise NotReadable("the predictions have no axis of samples in common", seen="their shapes")
        self.samples = self.batch.samples
        self._check(objective.names)

    def output_gradients(self, weights: Sequence[Tensor]) -> list[Tensor | None]:
        """The gradients of Σ w f by the outputs of all calls."""
        outputs = [call.output for call in self.calls]
        found = torch.autograd.grad(
            self.batch.predictions, outputs, list(weights), retain_graph=True, allow_unused=True
        )
        return [None if g is None else g.detach() for g in found]

    def trained(self, call: Call, prepared: Tensor, g: Tensor) -> Iterator[tuple[int, Factors]]:
        """The factors that one call adds, with the positions of the trained parameters that they belong to."""
        for parameter, factors in call.factors(prepared, g, self.samples):
            if id(parameter) in self._position:
                yield self._position[id(parameter)], factors

    def factors(self, weights: Sequence[Tensor]) -> dict[int, list[Factors]]:
        """For each trained parameter (by position) the factors of the gradients of Σ_j w_ij f_ij of every sample i."""
        result: dict[int, list[Factors]] = {}
        for call, g in zip(self.calls, self.output_gradients(weights), strict=True):
            if g is not None:
                for position, factors in self.trained(call, call.prepared(self.samples), g):
                    result.setdefault(position, []).append(factors)
        return result

    def squares(self, weights: Sequence[Tensor]) -> Tensor:
        """‖J_iᵀ w_i‖² of every sample, [n]."""
        total = self.batch.predictions[0].new_zeros(self.samples)
        for calls in self.factors(weights).values():
            total = total + (calls[0].squares() if len(calls) == 1 else _summed(calls).square().sum(1))
        return total

    def _check(self, names: Sequence[str]) -> None:
        """Two samples against a plain backward pass: do samples meet, and does the first axis run over them?"""
        slope = [s.detach() for s in self.batch.slope]
        weights = [torch.where(s == 0, 1e-3 * (1 + s.abs().max()), s) for s in slope]
        two = sorted({0, self.samples - 1})
        alone = [torch.zeros_like(w) for w in weights]
        for zero, w in zip(alone, weights, strict=True):
            zero[two] = w[two]
        plain = torch.autograd.grad(
            self.batch.predictions, self.parameters, alone, retain_graph=True, allow_unused=True
        )
        covered = {id(p) for call in self.calls for p in call.module.parameters(recurse=False)}
        named = zip(names, self.parameters, plain, strict=True)
        missing = [n for n, p, g in named if g is not None and id(p) not in covered]
        if missing:
            raise NotReadable("a parameter belongs to no layer of a known kind", seen=missing[0])
        found = self.factors(weights)
        whole = sum(float(g.double().square().sum()) for g in plain if g is not None) ** 0.5
        rounding = torch.finfo(slope[0].dtype).eps ** 0.5 * whole  # of gradients that are 0 but for it
        for position, gradient in enumerate(plain):
            own = torch.zeros((), dtype=torch.float64)
            if position in found:
                own = _summed([f.at(two) for f in found[position]]).sum(0).double()
            expected = torch.zeros_like(own) if gradient is None else gradient.flatten().double()
            away = float((own - expected).norm())
            if away > 1e-3 * float(expected.norm()) + rounding:
                raise NotReadable(
                    "per-sample gradients by layers are not those of a backward pass",
                    seen=f"{names[position]} is off by {away:.3g}",
                )


def _summed(calls: Sequence[Factors]) -> Tensor:
    total = calls[0].dense()
    for call in calls[1:]:
        total = total + call.dense()
    return total


@contextmanager
def _recorded(whole: nn.Module, positions: dict[int, int]) -> Iterator[list[Call]]:
    """The calls of all layers that hold trained parameters, while the context lasts."""
    calls: list[Call] = []

    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or not inputs or not isinstance(inputs[0], Tensor):
            raise NotReadable("a layer does not take and give one tensor", seen=type(module).__name__)
        if output.requires_grad:
            calls.append(Call(module, inputs[0].detach(), output))

    handles = []
    try:
        for module in whole.modules():
            own = [p for p in module.parameters(recurse=False) if id(p) in positions]
            if own and _known(module):
                handles.append(module.register_forward_hook(hook))
        yield calls
    finally:
        for handle in handles:
            handle.remove()
