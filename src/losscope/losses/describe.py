"""What a contract says, in words and numbers: for the terminal, for JSON, for the reference pages."""

import inspect
import math
from importlib import import_module
from typing import Any

import numpy as np

from losscope.core.registry import discover
from losscope.losses.index import interval
from losscope.losses.spec import LossSpec, Options, needed_options
from losscope.losses.taking import tasks_of
from losscope.losses.target_stats import TargetStats


def documentation(spec: LossSpec) -> str:
    """The page of a loss: the docstring of the file that holds its contract."""
    for module, found in discover("losscope.losses", "SPEC").items():
        if found is spec:
            return inspect.cleandoc(import_module(module).__doc__ or "")
    return ""


def facts(spec: LossSpec) -> list[tuple[str, str]]:
    """Label and text of everything the contract states, in the order in which people ask."""
    rows = [
        ("also called", ", ".join(spec.also)),
        ("task", _task(spec)),
        ("takes", takes(spec)),
        (
            "range",
            interval(spec.range) + (f"; the infimum is reached {spec.attained}" if spec.attained else ""),
        ),
        ("chance level", "; ".join(f"{value:.6g} {what}" for what, value in chance_levels(spec))),
        ("floor", "; ".join(f"{value:.7g} {what}" for what, value in floors(spec))),
        ("counts as 1", _normaliser(spec)),
        ("elicits", spec.elicits),
        ("has", ", ".join(_claim(c) for c in spec.claims if c.holds)),
        ("has not", ", ".join(_claim(c) for c in spec.claims if not c.holds)),
        ("gradient", _gradient(spec)),
        ("samples", "couples the samples of a batch" if spec.batch_coupled else ""),
        ("state", "remembers earlier calls" if spec.stateful else ""),
        ("mean divides by", spec.denominator if spec.function is not None else ""),
        ("progress", "" if spec.value_is_progress else "a smaller value does not mean a better model"),
        ("computed by", implementation(spec)),
        ("declared", "; ".join(f"{check}: {why}" for check, why in spec.exceptions.items())),
    ]
    return [(label, text) for label, text in rows if text]


def _task(spec: LossSpec) -> str:
    """The group, and the name that ``losscope audit --task`` has for such inputs where that is another one."""
    named = [name for name in tasks_of(spec) if name != spec.task]
    return spec.task + (f" (audited as {', '.join(named)})" if named else "")


def takes(spec: LossSpec) -> str:
    """The arguments in order, with shape and meaning."""
    return (
        ", ".join(f"{a.name} [{a.axes or a.of.axes}] ({a.of.about})" for a in spec.arguments)
        or spec.input_space
    )


def implementation(spec: LossSpec) -> str:
    """Where the function that is described comes from."""
    if spec.function is None:
        return ""
    name = getattr(spec.function, "__name__", "")
    module = getattr(spec.function, "__module__", "") or ""
    own = module.startswith("losscope.")
    where = f"losscope.losses.{name}" if own else f"{module}.{name}"
    return where + (f", {spec.module.__name__}" if spec.module is not None else "")


def chance_levels(
    spec: LossSpec, classes: int | None = None, candidates: int | None = None
) -> list[tuple[str, float]]:
    """The chance level for some plain targets (or for so many balanced classes), computed by the contract itself.

    A loss without targets gets that of so many ``candidates``, 64 where none are given.
    """
    if spec.chance is None:
        return []
    found, needed = [], needed_options(spec)
    if needed and classes is None:  # such options are given per class
        classes = spec.lengths["C"]
    for what, target, plain in _plain_targets(spec, classes):
        options = {**plain, **needed}
        stats = TargetStats()
        stats.update(target, options)
        estimate = spec.chance(stats, options)
        if estimate is not None and math.isfinite(estimate.value):
            found.append((what, estimate.value))
    return found or _without_targets(spec, needed, candidates or 64)


def _without_targets(spec: LossSpec, needed: Options, candidates: int) -> list[tuple[str, float]]:
    """The chance level of a loss that takes no targets, where its options alone give it."""
    assert spec.chance is not None
    found = []
    for what, options in (("by default", {}), (f"with {candidates} candidates", {"candidates": candidates})):
        estimate = spec.chance(TargetStats(), {**needed, **options})
        if estimate is not None and math.isfinite(estimate.value):
            return [(what, estimate.value)]
    return found


def _plain_targets(spec: LossSpec, classes: int | None) -> list[tuple[str, np.ndarray, dict[str, Any]]]:
    """Targets that a reader can picture, by the kind of the loss's target."""
    kind = next((a.kind for a in spec.arguments if a.role == "target"), "")
    n = 1 << 13
    if kind in ("class-index", "class-index-map"):
        options = {"target": "class"}
        if classes is not None:
            balanced = np.arange(n - n % classes) % classes
            return [(f"for {classes} balanced classes", balanced, {**options, "num_classes": classes})]
        return [
            ("for 2 balanced classes", np.arange(n) % 2, {**options, "num_classes": 2}),
            ("for 10 balanced classes", np.arange(n * 5) % 10, {**options, "num_classes": 10}),
            (
                "for 2 classes, 9 of 10 alike",
                (np.arange(n * 5) % 10 == 0).astype(int),
                {**options, "num_classes": 2},
            ),
        ]
    if kind in ("binary", "binary-label", "mask"):
        half = (np.arange(n) % 2).astype(float)
        rare = (np.arange(n * 5) % 10 == 0).astype(float)
        return [
            ("for as many 1 as 0", half, {"target": "binary"}),
            ("for 1 positive in 10", rare, {"target": "binary"}),
        ]
    if kind in ("real", "positive"):
        from scipy.special import ndtri  # lazy: 0.1 s to import, for few losses

        quantiles = ndtri((np.arange(n) + 0.5) / n)
        quantiles = quantiles / quantiles.std()
        values = np.exp(quantiles) if kind == "positive" else quantiles
        what = "for log-normal targets (σ = 1)" if kind == "positive" else "for standard normal targets"
        return [(what, values, {"target": "real"})]
    return []


def floors(spec: LossSpec) -> list[tuple[str, float]]:
    """The floor under the options that the contract names, where it is a plain number."""
    if spec.floor is None:
        return []
    found = []
    for options in ({}, *spec.variants):
        value = spec.floor({"num_classes": 10, **options}, None)
        if value is None or not math.isfinite(value):
            continue
        text = f"with {_option(spec, options)}" if options else "by default"
        if value != 0 or not options:
            found.append((text, value + 0.0))  # no -0
    return found


def _option(spec: LossSpec, options: Options) -> str:
    of_classes = "label_smoothing" in options and any(
        "C" in (a.axes or a.of.axes).split() for a in spec.arguments
    )
    return ", ".join(f"{k}={v}" for k, v in options.items()) + (" (10 classes)" if of_classes else "")


def _normaliser(spec: LossSpec) -> str:
    if spec.normaliser is None:
        return ""
    value = spec.normaliser({"num_classes": 10})
    return (
        f"{value:.6g}" + (" (10 classes)" if value and abs(value - math.log(10)) < 1e-9 else "")
        if value
        else ""
    )


def _claim(claim: Any) -> str:
    value = "" if claim.value is None else f" ({claim.value:.4g})"
    return f"{claim.name}{value}" + (f" [{claim.why}]" if claim.why else "")


def _gradient(spec: LossSpec) -> str:
    kinds = {
        "exact": "",
        "detached": "a part is held constant on purpose",
        "projected": "projected",
        "envelope": "an inner problem is held at its solution (envelope theorem)",
    }
    closed = [n for n, f in (("gradient", spec.gradient), ("Hessian", spec.logit_hessian)) if f is not None]
    parts = [kinds[spec.gradient_kind], f"closed form of {' and '.join(closed)} known" if closed else ""]
    return "; ".join(p for p in parts if p)


def to_json(spec: LossSpec) -> dict[str, Any]:
    """The contract as plain data; infinities are ``null``."""
    low, high = (x if math.isfinite(x) else None for x in spec.range)
    return {
        "name": spec.name,
        "title": spec.title,
        "also_called": list(spec.also),
        "family": spec.family,
        "task": spec.task,
        "input_tasks": tasks_of(spec),
        "formula": spec.formula,
        "input_space": spec.input_space,
        "arguments": [
            {"name": a.name, "kind": a.kind, "axes": (a.axes or a.of.axes).split(), "role": a.role}
            for a in spec.arguments
        ],
        "range": [low, high],
        "attained": spec.attained,
        "chance": dict(chance_levels(spec)),
        "floor": dict(floors(spec)),
        "elicits": spec.elicits,
        "claims": [{"name": c.name, "value": c.value, "holds": c.holds, "why": c.why} for c in spec.claims],
        "gradient_kind": spec.gradient_kind,
        "batch_coupled": spec.batch_coupled,
        "stateful": spec.stateful,
        "denominator": spec.denominator,
        "value_is_progress": spec.value_is_progress,
        "computed_by": implementation(spec),
        "exceptions": dict(spec.exceptions),
        "references": list(spec.references),
    }
