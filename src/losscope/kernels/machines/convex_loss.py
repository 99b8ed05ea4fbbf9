"""A mean loss as a convex function of its predictions on given targets: value, gradient, products with its curvature.

Losses of the catalogue say whether they are convex, and over which predictions. A function or module of torch is read
off its autograd graph. What is not known is taken at its word: Newton's method stops where it sees negative curvature.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from losscope.anatomy.anatomy import Term
from losscope.anatomy.read import read
from losscope.core.errors import BadUsage
from losscope.losses.catalogue import get
from losscope.losses.spec import LossSpec, needed_options
from losscope.objective.weighting import denominator

Loss = str | LossSpec | Callable[..., Tensor]


class ConvexLoss:
    """L(f) of predictions f of ``shape`` [N], [N, C], …, for targets that are kept.

    ``count`` is n in L = (1/n) Σ ℓ: the number of elements, or of targets; ``squares`` says that ℓ = (f - y)².
    """

    def __init__(
        self,
        loss: Loss,
        targets: Any,
        *,
        outputs: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.targets = _targets(targets)
        spec = get(loss) if isinstance(loss, str) else loss if isinstance(loss, LossSpec) else None
        if spec is not None:
            self.function: Callable[..., Tensor] = _of_catalogue(spec, options or {})
            self.name, classes = spec.name, spec.arguments[-1].of.integer and "C" in _axes(spec)
        elif callable(loss):
            self.function = partial(loss, **options) if options else loss
            self.name = getattr(loss, "__name__", type(loss).__name__)
            classes = not self.targets.is_floating_point()
        else:
            raise BadUsage("a loss is a name of the catalogue or a function", seen=type(loss).__name__)
        if (spec is not None and not classes) or self.targets.is_floating_point():
            self.targets = self.targets.double()
        self.shape = self._shape(classes, outputs)
        term = self._term()
        if spec is None and term is not None and term.spec is not None:
            _convex(term.spec)
        self.count = self._count(term)
        self.squares = term is not None and term.kind == "mse" and term.sample_weight is None

    def value(self, f: Tensor) -> float:
        """L(f); infinite where that is no number."""
        with torch.no_grad():
            found = float(self.function(f, self.targets))
        return float("inf") if math.isnan(found) else found

    def gradient(self, f: Tensor) -> Tensor:
        """∂L/∂f, of the shape of f."""
        leaf = f.detach().requires_grad_()
        with torch.enable_grad():
            (found,) = torch.autograd.grad(self.function(leaf, self.targets), leaf)
        return found

    def curvature(self, f: Tensor) -> Callable[[Tensor], Tensor]:
        """v ↦ ∂²L/∂f² v, on one graph."""
        leaf = f.detach().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(self.function(leaf, self.targets), leaf, create_graph=True)
        if not slope.requires_grad:
            return torch.zeros_like

        def product(v: Tensor) -> Tensor:
            try:
                (found,) = torch.autograd.grad(slope, leaf, v, retain_graph=True, materialize_grads=True)
            except RuntimeError as error:
                raise BadUsage(
                    f"{self.name} cannot be differentiated twice", seen=str(error).partition("\n")[0]
                ) from error
            return found

        return product

    def _shape(self, classes: bool, outputs: int | None) -> tuple[int, ...]:
        y = self.targets
        if classes and (outputs is not None or y.dim() == 1):
            known = int(y.max()) + 1 if outputs is None else outputs
            return (len(y), max(known, 1), *y.shape[1:])
        return tuple(y.shape) if outputs is None else (len(y), outputs)

    def _term(self) -> Term | None:
        """The loss as read off its graph, where it is one term; ``BadUsage`` where it cannot be computed."""
        start = torch.zeros(self.shape, dtype=torch.float64, device=self.targets.device).requires_grad_()
        try:
            value = self.function(start * 1, self.targets)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise BadUsage(
                f"{self.name} cannot be computed for predictions {list(self.shape)} and targets "
                f"{list(self.targets.shape)}",
                seen=str(error).partition("\n")[0],
                remedy="give targets as the loss takes them, and outputs= where they do not tell their number",
            ) from error
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
            raise BadUsage("the loss is not one number that can be differentiated", seen=self.name)
        terms = [t for t in read(value, deep=False).terms if t.target is not None]
        return terms[0] if len(terms) == 1 else None

    def _count(self, term: Term | None) -> float:
        if term is not None and term.reduction == "sum":
            return 1 / term.coefficient
        found = None if term is None else denominator(term)
        return float(len(self.targets)) if found is None or term is None else found / term.coefficient


def _targets(targets: Any) -> Tensor:
    try:
        found = torch.as_tensor(targets).detach()
    except (TypeError, ValueError, RuntimeError):
        raise BadUsage("targets are an array of numbers", seen=type(targets).__name__) from None
    if found.dim() < 1 or not found.numel():
        raise BadUsage("a kernel machine needs targets", seen=f"shape {tuple(found.shape)}")
    if not bool(found.isfinite().all()):
        raise BadUsage("a target is not a finite number", seen=f"{int((~found.isfinite()).sum())} of them")
    return found


def _axes(spec: LossSpec) -> str:
    return spec.arguments[0].axes or spec.arguments[0].of.axes


def _of_catalogue(spec: LossSpec, options: Mapping[str, Any]) -> Callable[..., Tensor]:
    roles = [a.of.role for a in spec.arguments]
    if roles != ["prediction", "target"] or spec.function is None:
        raise BadUsage(
            f"{spec.name} is no function of one prediction and one target",
            seen=", ".join(a.name for a in spec.arguments),
            remedy="give a function of these two that fixes the others",
        )
    _convex(spec)
    try:
        return partial(spec.function, **{**needed_options(spec), **options})
    except TypeError as error:
        raise BadUsage(f"{spec.name} does not take these options", seen=str(error)) from error


def _convex(spec: LossSpec) -> None:
    """Raise ``BadUsage`` for a loss of the catalogue that is not convex over all real predictions."""
    kind = spec.arguments[0].of if spec.arguments else None
    if not any(claim.name == "convex" and claim.holds for claim in spec.claims):
        raise BadUsage(
            f"{spec.name} is not convex in the predictions: its minimum in a kernel's space cannot be certified",
            seen=f"{spec.title}, no claim of convexity",
            remedy="take a convex one, such as cross_entropy, mse, huber or squared_hinge",
        )
    if kind is not None and (kind.low > -float("inf") or kind.high < float("inf")):
        raise BadUsage(
            f"{spec.name} takes predictions from {kind.low:g} to {kind.high:g}, a kernel machine gives any number",
            seen=kind.about,
            remedy="take the form of the loss on logits or logarithms",
        )
