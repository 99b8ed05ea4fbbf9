"""One update of a watched run, kept: what was called with what, how the loss came of it, and what its gradient was."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from losscope.losses.spec import LossSpec
from losscope.objective.rebuild.tree import Placeholder, shape_of


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """An outermost call of a module: of the ``part``-th module of the update, whose class is ``name``.

    ``arguments`` is (positional, named) with placeholders for earlier outputs, ``random`` the state of the generators
    of torch (CPU, accelerator) when it began, ``autocast`` the device and precision that were in force.
    """

    part: int
    name: str
    arguments: tuple[Any, Any]
    random: tuple[Tensor, Tensor | None]
    autocast: tuple[str, Any] | None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class KeptTerm:
    """A term that the anatomy read; ``parameters`` are the copies of those that a penalty is computed from.

    ``candidates`` are variables of the script that may be its target, where the graph does not keep it.
    """

    kind: str
    spec: LossSpec | None
    coefficient: float
    reduction: str
    value: float | None
    options: dict[str, Any]
    target: Tensor | None
    weighted: bool
    parameters: tuple[Tensor, ...] = ()
    candidates: tuple[tuple[str, Tensor], ...] = ()

    def target_named(self, name: str) -> Tensor | None:
        """The target: that of the graph, or else the variable of this name."""
        return self.target if self.target is not None else dict(self.candidates).get(name)


@dataclass(frozen=True, slots=True, eq=False)
class Root:
    """What a backward began at: ``value``, and the outputs that it is a sum of, or its terms."""

    value: float
    sources: tuple[tuple[float, Placeholder], ...] = ()
    terms: tuple[KeptTerm, ...] = ()
    calls: int = 0  # how many calls there were before it


@dataclass(eq=False)
class KeptUpdate:
    """``parts`` are copies of the modules, at the parameters of this update; only the last update kept has them.

    ``gradient`` has, of every one of ``parameters`` (those of the copies that are trained), the norm of ``.grad`` and
    its inner product with the parameter.
    """

    stream: str
    step: int
    parts: list[nn.Module] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    roots: list[Root] = field(default_factory=list)
    gradient: list[tuple[float, float]] = field(default_factory=list)
    parameters: list[nn.Parameter] = field(default_factory=list)

    @property
    def form(self) -> Any:
        """Equal for two updates of the same program."""
        calls = tuple((c.part, c.name, shape_of(c.arguments)) for c in self.calls)
        roots = tuple((r.sources, tuple((t.kind, t.reduction) for t in r.terms), r.calls) for r in self.roots)
        return calls, roots


def gradient_figures(pairs: Iterable[tuple[Tensor, Tensor | None]]) -> list[tuple[float, float]]:
    """Norm of the gradient and its inner product with the parameter, for each (parameter, gradient)."""
    figures: list[Tensor] = []
    for parameter, gradient in pairs:
        if gradient is None or not gradient.numel():
            figures.append(torch.zeros(2, dtype=torch.float64, device=parameter.device))
            continue
        precision = torch.promote_types(gradient.dtype, torch.float32)
        g, p = (t.detach().reshape(-1).to(precision) for t in (gradient, parameter))
        figures.append(torch.stack([torch.linalg.vector_norm(g), torch.dot(g, p)]).double())
    return [(row[0], row[1]) for row in torch.stack(figures).tolist()] if figures else []
