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

    def products(self, other: "Factors") -> Tensor:
        """Scalar products of the gradients of all pairs of samples, [n, m]."""
        if self.right is None or other.right is None:
            return self.dense() @ other.dense().T
        (n, t, p), (m, s, q) = self.left.shape, (*other.left.shape[:2], self.right.shape[2])
        if n * m * t * s * (p + q) <= (n * t + m * s) * p * q + n * m * p * q:
            one = self.left.reshape(n * t, p) @ other.left.reshape(m * s, p).T
            one *= self.right.reshape(n * t, q) @ other.right.reshape(m * s, q).T
            return one.view(n, t, m, s).sum((1, 3))
        return self.dense() @ other.dense().T

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


def _linear(module: Any, a: Tensor, g: Tensor, n: int) -> Iterator[tuple[Tensor, Factors]]:
    left = _by_sample(g, n, module.out_features)
    yield module.weight, Factors(left, _by_sample(a, n, module.in_features))
    yield module.bias, Factors(left, None)


def _conv(module: Any, a: Tensor, g: Tensor, n: int) -> Iterator[tuple[Tensor, Factors]]:
    if module.groups != 1 or module.padding_mode != "zeros" or len(a) != n:
        raise NotReadable(
            "the convolution has groups or a padding of its own", seen=f"groups={module.groups}"
        )
    padding = _same_padding(module) if isinstance(module.padding, str) else module.padding
    patches = F.unfold(a, module.kernel_size, module.dilation, padding, module.stride)
    left = g.flatten(2).transpose(1, 2)
    yield module.weight, Factors(left, patches.transpose(1, 2))
    yield module.bias, Factors(left, None)


def _same_padding(module: nn.Conv2d) -> tuple[int, ...]:
    if module.padding == "valid":
        return (0, 0)
    totals = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    if any(total % 2 for total in totals):
        raise NotReadable("the convolution is padded unevenly", seen="padding='same'")
    return tuple(total // 2 for total in totals)


def _embedding(module: Any, a: Tensor, g: Tensor, n: int) -> Iterator[tuple[Tensor, Factors]]:
    if module.max_norm is not None or module.scale_grad_by_freq:
        raise NotReadable("the embedding rescales its gradients or weights", seen="max_norm")
    hot = F.one_hot(a.reshape(n, -1), module.num_embeddings).to(g.dtype)
    if module.padding_idx is not None:
        hot[..., module.padding_idx] = 0
    yield module.weight, Factors(hot, _by_sample(g, n, module.embedding_dim))


def _norm(module: Any, a: Tensor, g: Tensor, n: int) -> Iterator[tuple[Tensor, Factors]]:
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        if len(module.normalized_shape) != 1:
            raise NotReadable("a norm over several axes", seen=str(module.normalized_shape))
        if isinstance(module, nn.LayerNorm):
            plain = F.layer_norm(a, module.normalized_shape, eps=module.eps)
        else:
            plain = F.rms_norm(a, module.normalized_shape, eps=module.eps)
        left, features = (plain * g, g), module.normalized_shape[0]
        pairs = [_by_sample(v, n, features) for v in left]
    else:
        if isinstance(module, nn.GroupNorm):
            plain = F.group_norm(a, module.num_groups, eps=module.eps)
        elif module.training or not module.track_running_stats:
            raise NotReadable(
                "batch normalisation in training mode mixes the samples", seen=type(module).__name__
            )
        else:
            plain = F.batch_norm(a, module.running_mean, module.running_var, eps=module.eps)
        pairs = [v.flatten(2).transpose(1, 2) if v.dim() > 2 else v[:, None] for v in (plain * g, g)]
    for name, value in zip(("weight", "bias"), pairs, strict=True):
        parameter: Any = getattr(module, name, None)
        if parameter is not None:
            yield parameter, Factors(value, None)


Rule = Callable[[Any, Tensor, Tensor, int], Iterator[tuple[Tensor, Factors]]]
_RULES: tuple[tuple[type | tuple[type, ...], Rule], ...] = (
    (nn.Linear, _linear),
    (nn.Conv2d, _conv),
    (nn.Embedding, _embedding),
    ((nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _norm),
)


def _rule(module: nn.Module) -> Rule | None:
    return next((rule for kind, rule in _RULES if isinstance(module, kind)), None)


class Layers:
    """One batch of an objective with the calls of its layers. Raises ``NotReadable``, with the reason."""

    def __init__(self, objective: Objective, index: int) -> None:
        self.parameters = objective.parameters
        self._position = {id(p): i for i, p in enumerate(objective.parameters)}
        with _recorded(objective.whole, self._position) as calls:
            self.batch: Linearisation = linearise_one(objective, index)
        self.calls = calls
        if self.batch.samples is None:
            raise NotReadable("the predictions have no axis of samples in common", seen="their shapes")
        self.samples = self.batch.samples
        covered = {id(p) for call in calls for p in call.module.parameters(recurse=False)}
        reached = torch.autograd.grad(self.batch.loss, self.parameters, retain_graph=True, allow_unused=True)
        named = zip(objective.names, objective.parameters, reached, strict=True)
        missing = [n for n, p, g in named if g is not None and id(p) not in covered]
        if missing:
            raise NotReadable("a parameter belongs to no layer of a known kind", seen=missing[0])
        self._check()

    def factors(self, weights: Sequence[Tensor]) -> dict[int, list[Factors]]:
        """For each trained parameter (by position) the factors of the gradients of Σ_j w_ij f_ij of every sample i."""
        outputs = [call.output for call in self.calls]
        found = torch.autograd.grad(
            self.batch.predictions, outputs, list(weights), retain_graph=True, allow_unused=True
        )
        result: dict[int, list[Factors]] = {}
        for call, g in zip(self.calls, found, strict=True):
            rule = _rule(call.module)
            if g is None or rule is None:
                continue
            for parameter, factors in rule(call.module, call.input, g.detach(), self.samples):
                if parameter is not None and id(parameter) in self._position:
                    result.setdefault(self._position[id(parameter)], []).append(factors)
        return result

    def squares(self, weights: Sequence[Tensor]) -> Tensor:
        """‖J_iᵀ w_i‖² of every sample, [n]."""
        total = self.batch.predictions[0].new_zeros(self.samples)
        for calls in self.factors(weights).values():
            total = total + (calls[0].squares() if len(calls) == 1 else _summed(calls).square().sum(1))
        return total

    def products(self, one: dict[int, list[Factors]], other: dict[int, list[Factors]]) -> Tensor:
        """Scalar products of per-sample gradients that two calls of :meth:`factors` gave, [n, n]."""
        total = self.batch.predictions[0].new_zeros(self.samples, self.samples)
        for position in one.keys() & other.keys():
            for a in one[position]:
                for b in other[position]:
                    total += a.products(b)
        return total

    def _check(self) -> None:
        """Two samples against plain backward passes: do samples meet, and does the first axis run over them?"""
        slope = [s.detach() for s in self.batch.slope]
        weights = [torch.where(s == 0, 1e-3 * (1 + s.abs().max()), s) for s in slope]
        found = self.squares(weights)
        for i in {0, self.samples - 1}:
            alone = [torch.zeros_like(w) for w in weights]
            for zero, w in zip(alone, weights, strict=True):
                zero[i] = w[i]
            expected = float(self.batch.pull(alone).double().square().sum())
            if abs(float(found[i]) - expected) > 1e-3 * expected + 1e-30:
                raise NotReadable(
                    "per-sample gradients by layers are not those of a backward pass",
                    seen=f"{float(found[i]):.6g} instead of {expected:.6g}",
                )


Columns = Sequence[Sequence[Sequence[Tensor]]]
"""``columns[c][b]`` are weights w over the predictions of batch b."""


def kernel(
    parts: Sequence["Layers"],
    columns: Columns,
    others: Sequence["Layers"] | None = None,
    other_columns: Columns | None = None,
) -> Tensor:
    """Scalar products of J_iᵀ w_ic for all samples i of several batches, [c·n, c·n]; with ``others``, [c·n, c·m].

    Rows are ordered by c, then by batch, then by sample.
    """
    whole = _stacked(parts, columns)
    second = whole if others is None or other_columns is None else _stacked(others, other_columns)
    rows = len(columns) * sum(part.samples for part in parts)
    width = (
        rows
        if others is None or other_columns is None
        else len(other_columns) * sum(p.samples for p in others)
    )
    total = parts[0].batch.predictions[0].new_zeros(rows, width)
    for (position, _), a in whole.items():
        for (other, _), b in second.items():
            if position == other:
                total += a.products(b)
    return total


def _stacked(parts: Sequence["Layers"], columns: Columns) -> dict[tuple[int, int], Factors]:
    """Factors of all columns and batches, by parameter and call."""
    stacked: dict[tuple[int, int], list[Factors]] = {}
    for weights in columns:
        for part, own in zip(parts, weights, strict=True):
            for position, calls in part.factors(own).items():
                for number, factors in enumerate(calls):
                    stacked.setdefault((position, number), []).append(factors)
    return {key: _stack(pieces) for key, pieces in stacked.items()}


def _stack(parts: Sequence[Factors]) -> Factors:
    """The samples of several, one after the other."""
    left = torch.cat([part.left for part in parts])
    rights = [part.right for part in parts if part.right is not None]
    return Factors(left, torch.cat(rights) if rights else None)


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
            if own and _rule(module) is not None:
                handles.append(module.register_forward_hook(hook))
        yield calls
    finally:
        for handle in handles:
            handle.remove()
