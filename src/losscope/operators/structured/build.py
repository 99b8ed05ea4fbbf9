"""From an objective to blocks: which part each group of parameters gets, and the passes that sum the parts up."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.objective.precision import without_autocast
from losscope.operators.linearisation import Linearisation
from losscope.operators.structured.block_diagonal import Placed
from losscope.operators.structured.parts import DiagonalPart, ExactPart, Part, SignedPart
from losscope.operators.structured.predictions import cut
from losscope.operators.structured.roots import Roots
from losscope.operators.structured.samples import Samples, axes_of
from losscope.operators.structured.use import Product, Use, Vector
from losscope.operators.structured.uses import uses
from losscope.operators.trial import believe

Make = Callable[[list[Use]], Part | None]
"""The part of a group of products with one weight and bias; ``None``: a diagonal."""

EXACT = 1024
"""Parameters that are added or multiplied have a block of their own up to this size, and a diagonal beyond."""


class Pass:
    """One pass over the data; ``make`` says what a product's part is, ``exact`` how large a vector's block may be."""

    def __init__(self, roots: Roots, make: Make, exact: int) -> None:
        self._roots, self._make, self._exact = roots, make, exact
        self._objective = roots.objective
        self._axes = axes_of(self._objective)
        self.parts: list[Part] = []
        self._planned = False

    @without_autocast()
    def run(self) -> list[Placed]:
        """The blocks of all parameters that the loss reaches."""
        for index, coefficient in enumerate(self._objective.coefficients):
            if coefficient:
                batch = cut(self._objective, index)
                believe(self._objective, batch)
                self._add(batch)
        return [Placed(part.positions, part.block()) for part in self.parts]

    def _add(self, batch: Linearisation) -> None:
        found, unread = uses(batch.predictions, batch.parameters)
        samples = Samples(batch, self._axes)
        if not self._planned:
            self._plan(found, unread, samples)
        shares = self._shares(found, unread, samples)
        for part, own in shares:
            part.begin(own, samples)
        edges: list[Any] = [use.edge for _, own in shares for use in own]
        signed = [part for part, own in shares if isinstance(part, SignedPart)]
        leaves = [batch.parameters[part.positions[0]] for part in signed]
        for vector in self._roots.of(batch):
            gradients = torch.autograd.grad(
                batch.predictions, (*edges, *leaves), vector, retain_graph=True, allow_unused=True
            )
            at = 0
            for part, own in shares:
                pairs = [
                    (u, g) for u, g in zip(own, gradients[at : at + len(own)], strict=True) if g is not None
                ]
                at += len(own)
                if pairs:
                    part.add([(use, g.detach()) for use, g in pairs])
            for part, g in zip(signed, gradients[at:], strict=True):
                if g is not None:
                    part.add_gradient(g.detach())

    def _plan(self, found: Sequence[Use], unread: set[int], samples: Samples) -> None:
        parameters = self._objective.parameters
        planned = [(self._part(group, parameters), group) for group in _groups(found)]
        samples.find([use for part, group in planned if part.samples_needed for use in group])
        for part, group in planned:
            if part.by_sample and any(samples.axis(use) is None for use in group):
                unread |= set(part.positions)
            else:
                self.parts.append(part)
        self.parts += [SignedPart(position) for position in sorted(unread)]
        self._planned = True

    @staticmethod
    def _takes(owner: dict[int, Part], use: Use) -> bool:
        part = owner[use.positions[0]]
        return isinstance(part, SignedPart) or part.takes(use)

    def _part(self, group: list[Use], parameters: Sequence[Tensor]) -> Part:
        positions = sorted({p for use in group for p in use.positions})
        sizes = [parameters[p].numel() for p in positions]
        if all(isinstance(use, Vector) for use in group) and sum(sizes) <= self._exact:
            return ExactPart(positions, sum(sizes))
        if _alike(group) and (part := self._make(group)) is not None:
            return part
        return DiagonalPart(positions, sizes)

    def _shares(
        self, found: Sequence[Use], unread: set[int], samples: Samples
    ) -> list[tuple[Part, list[Use]]]:
        """What of a batch's graph goes to which part."""
        owner = {position: part for part in self.parts for position in part.positions}
        known = {p for use in found for p in use.positions}
        new = (known | unread) - owner.keys()
        lost = {p for p in unread if not isinstance(owner.get(p), SignedPart)} - new
        taken = {p for use in found for p in use.positions if p in owner and not self._takes(owner, use)}
        if new or lost or taken:
            raise BadUsage(
                "the network does something else with a parameter in another batch",
                seen=self._objective.names[min(new | lost | taken)],
                remedy="give batches of one size",
            )
        shares: dict[int, tuple[Part, list[Use]]] = {id(part): (part, []) for part in self.parts}
        for use in found:
            part = owner[use.positions[0]]
            if not isinstance(part, SignedPart):
                shares[id(part)][1].append(use)
        samples.find([use for part, own in shares.values() if part.samples_needed for use in own])
        for part, own in shares.values():
            if part.by_sample and any(samples.axis(use) is None for use in own):
                raise BadUsage(
                    "samples meet in one batch that did not in another",
                    seen=self._objective.names[part.positions[0]],
                    remedy="give batches of one size",
                )
        return list(shares.values())


def build(objective: Objective, roots: Roots, make: Make, exact: int = EXACT) -> list[Placed]:
    """The blocks of an objective's parameters."""
    if not objective.parameters:
        raise BadUsage("there is nothing to train", seen=repr(objective))
    return Pass(roots, make, exact).run()


def _groups(found: Sequence[Use]) -> list[list[Use]]:
    """Uses that share a parameter, or the gradient of one node where they add or multiply."""
    groups: list[tuple[set[object], list[Use]]] = []
    for use in found:
        keys: set[object] = set(use.positions)
        if isinstance(use, Vector):
            keys.add(use.edge.node)
        own: list[Use] = [use]
        rest = []
        for group in groups:
            if group[0] & keys:
                keys |= group[0]
                own = group[1] + own
            else:
                rest.append(group)
        groups = [*rest, (keys, own)]
    return [own for _, own in groups]


def _alike(group: Sequence[Use]) -> bool:
    """Whether all are products of one weight and bias, in one layout."""
    first = group[0]
    return isinstance(first, Product) and all(
        isinstance(use, Product)
        and (use.weight, use.bias, use.layout, use.hot) == (first.weight, first.bias, first.layout, first.hot)
        for use in group
    )
