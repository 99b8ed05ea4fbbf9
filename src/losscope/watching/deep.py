"""Deep samples: one update in many is looked at closely, by every probe."""

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.utils._python_dispatch import _disable_current_modes

from losscope.anatomy.anatomy import Anatomy
from losscope.anatomy.inputs import inputs_below
from losscope.anatomy.nonfinite import nonfinite_origin
from losscope.anatomy.read import read
from losscope.core.errors import NotReadable
from losscope.core.finding import Where
from losscope.probes.objective import Objective
from losscope.probes.probe import Probe, Sample
from losscope.watching.budget import Governor
from losscope.watching.keeper import Keeper, compiled
from losscope.watching.layer_reading import LayerReading
from losscope.watching.merging import merged
from losscope.watching.naming import Names
from losscope.watching.not_compiled import nothing_compiled
from losscope.watching.outlet import Outlet
from losscope.watching.streams import Stream
from losscope.watching.user_code import user_frame, where
from losscope.watching.weak_tensors import TensorRef, weak
from losscope.watching.window import Window

_ROOTS = 4  # backward roots of one update whose anatomy is read
_ANNOUNCED = 16  # optimisers of one stream that are described; some scripts make one at every update
_PATIENCE = 8  # updates of any stream for which the one after a sample is waited for; closures never show it
_LATER = (
    1.3  # growth of the step from one reading of a sum's terms to the next, where no sample comes in between
)
_WALK_FIRST = 6  # deep samples that walk the whole graph for the parameters it reaches
_WALK_AGAIN = 7  # afterwards one in so many; odd, so that alternating streams take turns


@contextmanager
def undisturbed() -> Iterator[None]:
    """Our own tensor work: no autograd, and invisible to the user's dispatch and function modes.

    Nor does it count for a user who looks for what waits for a GPU: samples do, and are rare enough to.
    """
    strict = torch.cuda.get_sync_debug_mode() if torch.cuda.is_initialized() else 0
    if strict:
        torch.cuda.set_sync_debug_mode(0)
    try:
        with nothing_compiled(), torch.no_grad(), torch._C.DisableTorchFunction(), _disable_current_modes():
            yield
    finally:
        if strict:
            torch.cuda.set_sync_debug_mode(strict)


class DeepSampler:
    """Runs the probes on sampled updates. Holds no strong reference to anything of the user's between them."""

    def __init__(self, outlet: Outlet, governor: Governor, names: Names, probes: Sequence[Probe]) -> None:
        self.outlet, self.governor, self.names, self.probes = outlet, governor, names, list(probes)
        self.active = False
        self.roots: list[tuple[Anatomy, Any]] = []
        self.sites: dict[str, Where | None] = {}  # loss function -> the user's line that first called it
        self._cycle = -1
        self._cost = 0.0
        self._samples: dict[str, Sample] = {}
        self._weak: dict[str, list[TensorRef]] = {}
        self._follow: dict[str, int] = {}
        self._follow_until = -1
        self._reached: list[TensorRef] = []
        self._optimizers: list[weakref.ref[Any]] = []
        self._count = 0
        self._joined: dict[str, int] = {}  # optimisers of each stream so far
        self._walked = False
        self._explained = False
        self._reads = False  # the terms alone of this update are read
        self._several = False  # the loss has more than one: then the recorded loss does not tell their values
        self._read_at = 0
        self.keeper, self.window = Keeper(), Window()
        self.layers = LayerReading(outlet, names)
        self.on_joined: Callable[[Any, str], None] | None = None  # who wants to know of new optimisers

    @property
    def parameters(self) -> list[Tensor]:
        """Live parameters that the objective was last seen to reach."""
        return [p for ref in self._reached if (p := ref()) is not None]

    # --- life of one sample -----------------------------------------------------------------------
    def open(self) -> None:
        """A new update begins: book the last sample, decide about this one."""
        self._cycle += 1
        if self.keeper.begins():
            with undisturbed():
                self.keeper.renew(self._cycle)
        self.window.opens()
        if self.active:
            self._close()
        elif self._reads:
            self._read()
        self.active = self._cycle >= self.governor.look_at and self.governor.wants_deep(self._cycle)
        self._count += self.active
        self._reads = self._several and not self.active and self._cycle >= _LATER * self._read_at
        if self.active or self._reads:
            self._read_at = self._cycle

    @property
    def attentive(self) -> bool:
        """Whether this update is sampled, read, or kept."""
        return self.active or self._reads or self.keeper.armed or self.window.armed

    @property
    def rests(self) -> int:
        """How many updates may begin before asking for a sample makes sense again."""
        return self.governor.look_at - self._cycle - 1

    def rest(self, updates: int) -> None:
        """So many updates began without being asked for."""
        self._cycle += updates

    def close(self) -> None:
        if self.active:
            self._close()
        elif self._reads:
            self._read()
        self.active = self._reads = False
        self.keeper.drop()
        self.window.end()

    def _close(self) -> None:
        self.governor.charge_deep(self._cycle - 1, self._cost)
        self._cost = 0.0
        self.roots.clear()
        self._samples.clear()
        self._weak.clear()
        self._walked = False

    def _read(self) -> None:
        """The update whose terms were read is over."""
        self.governor.charge_extra(self._cost)
        self._cost = 0.0
        self.roots.clear()

    @contextmanager
    def _booked(self) -> Iterator[None]:
        began = perf_counter()
        with undisturbed():
            yield
        self._cost += perf_counter() - began

    # --- moments ----------------------------------------------------------------------------------
    def objective(self, root: Tensor, scale: Any) -> None:
        """A backward is about to start: read the objective off the graph while it is alive."""
        began = perf_counter()
        frame = user_frame()
        if self.keeper.armed or self.window.armed:
            with undisturbed():
                self.keeper.root(root, float(scale), frame)
                self.window.root(root, float(scale), frame)
            hooks = self.keeper.take_seconds() + self.window.take_seconds()
            self.governor.charge_extra(perf_counter() - began + hooks)
            began = perf_counter()
        if not (self.active or self._reads) or len(self.roots) >= _ROOTS:
            return
        turned = self.active and not self.roots and self.layers.turned()
        walk = self.active and (turned or self._count <= _WALK_FIRST or self._count % _WALK_AGAIN == 1)
        self._walked = self._walked or walk
        try:
            with undisturbed():
                anatomy = read(root, scale=float(scale), deep=walk, frame=frame)
                anatomy = self.layers.add(anatomy, root) if walk else anatomy
                if self.active:
                    anatomy = replace(anatomy, inputs=inputs_below(root.grad_fn))
        except NotReadable:  # a leaf: nothing can be learnt through it, which is itself worth knowing
            self._walked = self.active
            self._cost += perf_counter() - began
            return
        self._several = self.governor.share > 0 and (self._several or len(anatomy.terms) > 1)
        if anatomy.parameters:
            seen = {id(p) for p in self.parameters}
            self._reached += [weak(p) for p in anatomy.parameters if id(p) not in seen]
        self.roots.append((anatomy, where(frame)))
        self._cost += perf_counter() - began

    def gradients(self, stream: Stream, optimizer: Any = None, backwards: int = 1) -> None:
        """The gradient of this update stands in ``.grad``."""
        if not self.active:
            self._kept(stream, optimizer)
            return
        with self._booked():
            sample = self._samples[stream.label] = self._sample(stream, optimizer, backwards)
            self._run("objective", sample)
            self._run("gradients", sample)
        self._kept(stream, optimizer)

    def before_update(self, stream: Stream, optimizer: Any = None) -> None:
        """The parameters are about to change. Inside ``step(closure)`` no gradient was seen yet."""
        if stream.label not in self._samples:
            with self._booked():
                self._samples[stream.label] = self._sample(stream, optimizer)
        self._moment("before_update", stream)

    def after_update(self, stream: Stream) -> None:
        self._moment("after_update", stream)
        if stream.label in self._samples:
            self._follow[stream.label] = stream.step + 1
            self._follow_until = self._cycle + _PATIENCE
            self._arm(stream.label, stream.step + 1)

    def _arm(self, stream: str, step: int) -> None:
        """Update ``step`` of a stream comes next: it may be one to keep, or the first of several."""
        self.keeper.arm(stream, step)
        if self.window.due(step) and not compiled():
            self.window.begin(stream, step, self.governor.share, self.governor.elapsed)

    @property
    def expecting(self) -> bool:
        """Whether some stream's next update is to be compared with the one just sampled."""
        follows = bool(self._follow) and self._cycle <= self._follow_until
        return self._reads or self.window.armed or follows

    def follows(self, stream: Stream) -> bool:
        return self._reads or self.window.armed or self._follow.get(stream.label) == stream.step

    def following(self, stream: Stream, optimizer: Any = None) -> None:
        """The update right after a sampled one, or one whose terms were read, at its gradients."""
        if self._reads and 0 < len(self.roots) < _ROOTS:
            with self._booked():
                sample = self._sample(stream, optimizer, len(self.roots))
                self._run("objective", sample, Objective)
            self.roots.clear()
        if self._follow.get(stream.label) != stream.step:
            self._kept(stream, optimizer)
            return
        del self._follow[stream.label]
        began = perf_counter()
        with undisturbed():
            self._run("following", self._sample(stream, optimizer))
        self.governor.charge_extra(perf_counter() - began)
        self._kept(stream, optimizer)

    def _kept(self, stream: Stream, optimizer: Any) -> None:
        """The update under way is complete, should it be one that is to be kept."""
        if self.keeper.armed or self.window.armed:
            began = perf_counter()
            with undisturbed():
                self.keeper.finish(stream.label, stream.step, optimizer)
                self.window.finish(stream.label, stream.step, optimizer)
            self.governor.charge_extra(perf_counter() - began)

    def _moment(self, moment: str, stream: Stream) -> None:
        sample = self._samples.get(stream.label)
        if sample is not None and self._strengthen(stream.label, sample):
            with self._booked():
                self._run(moment, sample)

    def weaken(self) -> None:
        """Let go of the user's tensors until the update: where it is made by hand, they may be replaced."""
        self.roots.clear()
        for label, sample in self._samples.items():
            if label in self._weak and not sample.parameters:  # by an earlier backward of the same update
                continue
            self.keeper.arm(
                label, sample.step + 1
            )  # the next forward pass comes before this update is known of
            self._weak[label] = [weak(p) for p in sample.parameters]
            sample.parameters, sample.anatomy, sample.eval_in_train = (), None, bool

    def _strengthen(self, label: str, sample: Sample) -> bool:
        refs = self._weak.pop(label, None)
        if refs is not None:
            sample.parameters = [p for ref in refs if (p := ref()) is not None]
        return refs is None or len(sample.parameters) == len(refs)

    def _run(self, moment: str, sample: Sample, kind: type[Probe] = Probe) -> None:
        for probe in [p for p in self.probes if isinstance(p, kind)]:
            try:
                getattr(probe, moment)(sample)
            except Exception as error:  # noqa: BLE001  a faulty probe is switched off, the others go on
                self.probes.remove(probe)
                name = type(probe).__name__
                self.outlet.event(
                    "fault", where=f"probe {name}.{moment}", error=f"{type(error).__name__}: {error}"
                )

    def _sample(self, stream: Stream, optimizer: Any, backwards: int = 1) -> Sample:
        held = (
            [p for group in optimizer.param_groups for p in group["params"]]
            if optimizer is not None
            else None
        )
        reached = [p for anatomy, _ in self.roots for p in anatomy.parameters]
        if held is None:
            parameters = _unique(p for p in (reached or self.parameters) if p.is_leaf)
        else:
            parameters = [p for p in held if p.grad is not None] or list(held)
        sample = Sample(
            sink=self.outlet,
            stream=stream.label,
            step=stream.step,
            anatomy=merged([a for a, _ in self.roots], backwards) if self.roots else None,
            parameters=parameters,
            names=self.names.of(parameters),
            where=self.roots[0][1] if self.roots else None,
            sites=self.sites,
        )
        if self._walked:
            self.layers.fill(sample)
        if held is not None and self._walked:
            self._fill_reach(sample, held, reached)
        return sample

    def _fill_reach(self, sample: Sample, held: Sequence[Tensor], reached: Sequence[Tensor]) -> None:
        """Which parameters this objective reaches; those that another optimiser holds are its own affair."""
        mine = {id(p) for p in held}
        others = {id(p) for o in self.live_optimizers() for g in o.param_groups for p in g["params"]} - mine
        counted = _unique(
            p for p in reached if id(p) in mine or (isinstance(p, Parameter) and id(p) not in others)
        )
        sample.reached_names = self.names.of(counted)
        sample.held_names = self.names.of(held)
        sample.frozen_names = self.names.of([p for p in held if not p.requires_grad])

    # --- optimisers -------------------------------------------------------------------------------
    def made(self, optimizer: Any) -> None:
        """Hook behind Optimizer.__init__."""
        self._optimizers = [ref for ref in self._optimizers if ref() is not None]
        self._optimizers.append(weakref.ref(optimizer))

    def joined(self, stream: Stream, optimizer: Any) -> None:
        """An optimiser object makes its first step: say what it is."""
        if optimizer not in self.live_optimizers():
            self.made(optimizer)
        self._joined[stream.label] = count = self._joined.get(stream.label, 0) + 1
        if count > _ANNOUNCED:
            return
        groups = [
            {
                **{k: v for k, v in g.items() if isinstance(v, int | float | bool)},
                "betas": [b for b in g.get("betas") or () if isinstance(b, int | float)],
                "tensors": len(g["params"]),
            }
            for g in optimizer.param_groups
        ]
        held = [p for g in optimizer.param_groups for p in g["params"]]
        place = where(user_frame())
        self.outlet.event(
            "optimizer",
            stream=stream.label,
            step=stream.step,
            name=type(optimizer).__name__,
            groups=groups,
            parameters=self.names.of(held),
            where={"file": place.file, "line": place.line} if place else None,
        )
        if self.on_joined is not None:
            self.on_joined(optimizer, stream.label)

    def live_optimizers(self) -> list[Any]:
        return [o for ref in self._optimizers if (o := ref()) is not None]

    # --- faults of the user's numbers -------------------------------------------------------------
    def non_finite_loss(self, root: Tensor, stream: str, step: int) -> None:
        """Once per run: say where the first non-finite number came from."""
        if self._explained:
            return
        self._explained = True
        with undisturbed():
            origin = nonfinite_origin(root)
        if origin is None:
            return
        place = where(user_frame())
        self.outlet.event(
            "non-finite",
            stream=stream,
            step=step,
            what="parameter" if origin.what == "parameter" else "loss",
            overflow=origin.overflow,
            origin=origin.text
            + (f", near {names[0]}" if (names := self.names.of(origin.parameters[:1])) else ""),
            where={"file": place.file, "line": place.line} if place else None,
        )


def _unique(tensors: Any) -> list[Tensor]:
    return list({id(t): t for t in tensors}.values())
