"""Has a network learnt features, or does it behave like the kernel machine of its tangent kernel?

The network moved from θ₀ to θ. Its linearisation at θ₀, f(θ₀) + J(θ - θ₀), is a kernel machine of the tangent kernel.
Two questions decide.

1. Does the linearisation give most of the movement of the predictions? u = ‖remainder‖² / ‖f - f₀‖² over the data, with
   its standard error over samples, against ½.
2. Could a kernel machine have done as well at the same distance? The linearised network lies in the ball
   ‖f - f₀‖_H ≤ ‖θ - θ₀‖ of the tangent kernel's space; the best function in that ball, on the data of the comparison,
   is a kernel machine. Where the network's loss is below that one's (paired over samples, two standard errors), it has
   left the kernel's regime. One-sided: on a part of the data the kernel machine has the easier task.

* **features**: u > ½ by two standard errors.
* **lazy**: u < ½ by two standard errors, and the network is not better than the kernel machine.
* **between**: anything else.

Lazy training: Chizat, Oyallon and Bach, 2019, arXiv:1812.07956. Beside the verdict: by how much the kernel itself
changed (Fort et al., 2020, arXiv:2010.15110).
"""

import html
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.core.text import Language, Text
from losscope.kernels.comparison.alignment import alignment
from losscope.kernels.comparison.movement import movement
from losscope.kernels.functions.empirical_ntk import EmpiricalNTK
from losscope.kernels.functions.placed import Parameters, placed, vector
from losscope.kernels.machines.convex_loss import ConvexLoss
from losscope.kernels.machines.machine import KernelMachine, kernel_machine
from losscope.kernels.machines.same_norm import at_norm
from losscope.objective.batches import Batch, batches
from losscope.objective.objective import Objective

__all__ = ["KernelChange", "Laziness", "kernel_change", "laziness"]

Regime = Literal["lazy", "features", "between"]
_ROWS = 3000  # of a full tangent kernel; beyond it one kernel is shared by the outputs

_TEXTS: dict[Regime, Text] = {
    "lazy": Text(
        en="the network behaves like its kernel machine (lazy): its linearisation at the initial parameters gives "
        "{given:.1%} ± {error:.1%} of the squared movement of its predictions",
        zh="网络的行为如同其核机器（惰性）：在初始参数处的线性化给出其预测变动平方的 {given:.1%} ± {error:.1%}",
    ),
    "features": Text(
        en="the network has learnt features: its linearisation at the initial parameters misses its predictions by "
        "{missed:.1%} ± {error:.1%} of their squared movement",
        zh="网络学到了特征：在初始参数处的线性化与其预测之差为其变动平方的 {missed:.1%} ± {error:.1%}",
    ),
    "between": Text(
        en="between lazy and feature learning: the linearisation at the initial parameters misses the predictions by "
        "{missed:.1%} ± {error:.1%} of their squared movement{and_better}",
        zh="介于惰性与特征学习之间：在初始参数处的线性化与预测之差为其变动平方的 {missed:.1%} ± {error:.1%}"
        "{and_better}",
    ),
}
_BETTER = Text(
    en=", and the network's loss is below that of every kernel machine at its distance",
    zh="，且网络的损失低于同一距离内任何核机器的损失",
)
_NOTHING = Text(en="", zh="")


@dataclass(frozen=True, slots=True)
class KernelChange:
    """``relative`` = ‖K_t - K_0‖_F / ‖K_0‖_F, ``alignment`` the centred cosine of the two, on ``samples`` inputs."""

    relative: float
    alignment: float
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Laziness:
    """``regime`` follows from ``unexplained``, the share u of the squared movement that the linearisation misses, and
    from ``excess``, the loss of the network minus that of the best kernel machine at its distance (None: not compared).

    ``losses`` are data terms over all data: "initial", "network", "linearised"; ``held_out`` the same on other data.
    ``compared`` are those of "network" and "kernel machine" on the inputs of the kernel; ``why`` tells why they are
    missing. ``distance`` is ‖θ - θ₀‖.
    """

    regime: Regime
    unexplained: Estimate
    distance: float
    kernel: KernelChange
    losses: dict[str, float]
    held_out: dict[str, float] = field(default_factory=dict)
    compared: dict[str, float] = field(default_factory=dict)
    machine: KernelMachine | None = None
    excess: Estimate | None = None
    why: str = ""

    @property
    def beats_kernel(self) -> bool:
        """Whether the network's loss is below that of every kernel machine at its distance."""
        return self.excess is not None and self.excess.value + 2 * self.excess.stderr < 0

    def sentence(self, language: Language = "en") -> str:
        """The verdict, in one sentence."""
        share, error = self.unexplained.value, self.unexplained.stderr
        better = _BETTER() if self.beats_kernel else _NOTHING()
        return _TEXTS[self.regime](given=1 - share, missed=share, error=error, and_better=better).render(
            language
        )

    def to_json(self, language: Language = "en") -> dict[str, Any]:
        """Plain data."""
        return {
            "regime": self.regime,
            "sentence": self.sentence(language),
            "unexplained": self.unexplained.value,
            "stderr": self.unexplained.stderr,
            "distance": self.distance,
            "kernel": {"relative": self.kernel.relative, "alignment": self.kernel.alignment},
            "losses": self.losses,
            "held_out": self.held_out,
            "compared": self.compared,
            "excess": None if self.excess is None else [self.excess.value, self.excess.stderr],
            "why": self.why,
        }

    def __repr__(self) -> str:
        lines = [
            self.sentence(),
            f"  tangent kernel: changed by {self.kernel.relative:.3g} of its norm, alignment "
            f"{self.kernel.alignment:.3f} ({self.kernel.samples} samples)",
        ]
        for title, found in (("loss", self.losses), ("loss, held out", self.held_out)):
            if found:
                lines.append(
                    f"  {title}: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items())
                )
        if self.compared:
            pairs = ", ".join(f"{name} {value:.4g}" for name, value in self.compared.items())
            lines.append(f"  at the distance {self.distance:.4g} from the start: {pairs}")
        else:
            lines.append(f"  not compared with the best kernel machine: {self.why}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def kernel_change(
    objective: Objective, initial: Parameters, *, samples: int = 128, seed: int = 0
) -> KernelChange:
    """How far the tangent kernel has come from that at initial parameters, on at most ``samples`` inputs.

    Over samples and outputs where that is up to 3,000 rows, else one kernel for all outputs. Two tangent kernels.
    """
    theta, data = vector(objective, initial), _drawn(objective.batches, samples, seed)
    now, before = (_tangent(objective, at, data)() for at in (None, theta))
    return _change(now, before, _count(data))


def laziness(
    objective: Objective,
    initial: Parameters,
    *,
    held_out: Any = None,
    compare: bool = True,
    samples: int = 128,
    seed: int = 0,
) -> Laziness:
    """Compare a trained network with the kernel machine of its tangent kernel at ``initial`` parameters.

    ``initial`` is a vector [P], a ``state_dict`` or a model (``copy.deepcopy(model)`` before training). ``held_out``
    are other data, as an ``Objective`` takes them. Kernels, and with ``compare`` the kernel machine at the same
    distance, are computed on at most ``samples`` samples that ``seed`` draws; u uses all. Buffers are those of now.

    Cost: a few forward passes for the verdict; two tangent kernels; about ten kernel machines. Raises ``BadUsage`` for
    parameters of another network, and where the predictions have not moved.
    """
    if not isinstance(objective, Objective):
        raise BadUsage("an Objective is compared", seen=type(objective).__name__)
    theta = vector(objective, initial)
    found = movement(objective, theta)
    if not bool(found.moved.sum() > 0):
        raise BadUsage(
            "the predictions have not moved from those at the initial parameters",
            seen=f"parameters moved by {float((objective.theta - theta.to(objective.theta)).norm()):.3g}",
            remedy="keep copy.deepcopy(model) before training",
        )
    unexplained = found.unexplained
    data = _drawn(objective.batches, samples, seed)
    first, now = _tangent(objective, theta, data), _tangent(objective, None, data)
    gram = first()
    distance = float((objective.theta.double() - theta.double()).norm())
    result = Laziness(
        regime="between",
        unexplained=unexplained,
        distance=distance,
        kernel=_change(now(), gram, _count(data)),
        losses=found.losses,
        held_out={} if held_out is None else movement(objective, theta, batches(held_out)).losses,
        why="not asked for",
    )
    result = _compared(result, objective, theta, data, gram) if compare else result
    return replace(result, regime=_regime(result))


def _regime(found: Laziness) -> Regime:
    low, high = (found.unexplained.value + sign * 2 * found.unexplained.stderr for sign in (-1, 1))
    if low > 0.5:
        return "features"
    return "lazy" if high < 0.5 and not found.beats_kernel else "between"


def _change(now: Tensor, before: Tensor, samples: int) -> KernelChange:
    size = float(before.norm())
    if size == 0:
        raise BadUsage("the tangent kernel at the initial parameters is zero", seen="no gradient anywhere")
    return KernelChange(float((now - before).norm()) / size, alignment(now, before), samples)


def _tangent(objective: Objective, theta: Tensor | None, data: list[Batch]) -> EmpiricalNTK:
    chosen = placed(objective, theta, data=data)
    outputs = chosen.prediction_of(0)
    rows = outputs.numel() if isinstance(outputs, Tensor) else _ROWS
    full = rows * _count(data) <= _ROWS * data[0].samples
    return EmpiricalNTK(chosen, outputs="full" if full else "shared")


def _compared(
    result: Laziness, objective: Objective, theta: Tensor, data: list[Batch], gram: Tensor
) -> Laziness:
    """With the losses of the network and of the best kernel machine at its distance."""
    now, then = (placed(objective, t, data=data, dtype=torch.float64) for t in (None, theta))
    loss = now.whole.loss
    if loss is None or not all(isinstance(b.target, Tensor) for b in now.batches):
        return replace(result, why="the loss is no function of predictions and one tensor of targets")
    with torch.no_grad():
        f, start = (torch.cat([o.prediction_of(i) for i in range(len(data))]).detach() for o in (now, then))
    targets = torch.cat([b.target for b in now.batches])
    outputs = f.shape[1] if f.dim() > 1 else None
    try:
        convex = ConvexLoss(loss, targets, outputs=outputs)
        if convex.shape != tuple(f.shape):
            raise BadUsage(
                "predictions and targets differ in shape", seen=f"{tuple(f.shape)} and {convex.shape}"
            )
        first = kernel_machine(
            gram,
            None,
            targets,
            max(abs(convex.value(start)), 1e-12) / result.distance**2,
            loss,
            outputs=outputs,
            offset=start,
            rtol=1e-6,
        )
        machine = at_norm(first, result.distance)
    except BadUsage as error:
        return replace(result, why=str(error))
    compared = {"network": convex.value(f), "kernel machine": machine.data_value}
    short = (
        machine.penalty * (result.distance**2 - machine.norm**2) + machine.gap
    )  # above the best in the ball
    excess = _excess(convex, f, machine.predictions, short)
    return replace(result, machine=machine, compared=compared, excess=excess, why="")


def _excess(loss: ConvexLoss, one: Tensor, other: Tensor, short: float) -> Estimate:
    """The loss of one set of predictions minus that of another, less ``short``; paired, each sample evaluated alone."""
    with torch.no_grad():
        both = [
            [loss.function(f[i : i + 1], loss.targets[i : i + 1]) for i in range(len(f))]
            for f in (one, other)
        ]
    first, second = (torch.stack(values).double() for values in both)
    differences = (first - second)[(first - second).isfinite()]  # a sample whose target is ignored is 0/0
    stderr = float(differences.std()) / len(differences) ** 0.5 if len(differences) > 1 else float("inf")
    return Estimate(loss.value(one) - loss.value(other) + max(0.0, short), stderr)


def _count(data: list[Batch]) -> int:
    return sum(batch.samples for batch in data)


def _drawn(data: list[Batch], samples: int, seed: int) -> list[Batch]:
    """At most so many samples of all batches; whole batches where their tensors have no axis of samples."""
    total = _count(data)
    if samples < 2:
        raise BadUsage("a kernel is looked at on at least two samples", seen=f"samples={samples}")
    if total <= samples:
        return data
    chosen = torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:samples].sort().values
    found, begin = [], 0
    for batch in data:
        inside = chosen[(chosen >= begin) & (chosen < begin + batch.samples)] - begin
        begin += batch.samples
        if len(inside):
            found.append(_rows(batch, inside))
    return found


def _rows(batch: Batch, rows: Tensor) -> Batch:
    def pick(tensor: Tensor) -> Tensor:
        return tensor[rows.to(tensor.device)] if tensor.dim() and len(tensor) == batch.samples else tensor

    return replace(batch.moved(pick), samples=len(rows))
