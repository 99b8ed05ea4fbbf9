"""Writes an objective as a formula, and as a key of its structure."""

import hashlib
from collections.abc import Iterable
from typing import Any

from losscope.anatomy.anatomy import Term

_HIDDEN = frozenset(
    {"num_classes", "candidates", "target", "double_softmax", "normalised_weights", "distribution_form"}
    | {"ignored_as_zero"}
)
_OF_ONE_BATCH = frozenset({"constant-target", "value-not-confirmed"})
_DEFAULTS: dict[str, Any] = {"ignore_index": -100, "label_smoothing": 0.0}
_SYMBOLS = {"l2_penalty": "‖θ‖²", "l1_penalty": "‖θ‖₁", "norm_penalty": "‖θ‖₂"}


def number(value: float) -> str:
    """Six digits at most, and always a point or an exponent: 1.0, 0.01, 3.33333e-05."""
    text = f"{value:.6g}"
    return text if any(c in text for c in ".en") else text + ".0"


def expression(terms: Iterable[Term]) -> str:
    """``1.0 · cross_entropy(logits[64,10], y; mean) - 0.1 · entropy(logits[64,10]; mean)``."""
    text = ""
    for term in terms:
        negative = term.coefficient < 0
        piece = f"{number(abs(term.coefficient))} · {_call(term)}"
        if not text:
            text = ("-" if negative else "") + piece
        else:
            text += (" - " if negative else " + ") + piece
    return text or "0"


def _call(term: Term) -> str:
    if term.kind in _SYMBOLS:
        return _SYMBOLS[term.kind]
    if term.kind.startswith("unknown") or term.kind == "constant":
        return term.kind
    shape = ",".join(str(size) for size in term.prediction_shape)
    prediction = f"{term.name or _default_name(term)}[{shape}]"
    has_target = term.target is not None or term.options.get("has_target", False)
    arguments = [prediction, term.target_name or "y"] if has_target else [prediction]
    settings = [term.reduction, *_settings(term.options)]
    return f"{term.kind}({', '.join(arguments)}; {', '.join(settings)})"


def _default_name(term: Term) -> str:
    if term.spec is not None and term.spec.input_space == "logits":
        return "logits"
    return "f(x)"


def _settings(options: dict[str, Any]) -> list[str]:
    found = []
    for key, value in options.items():
        if key in _HIDDEN or key == "has_target" or _DEFAULTS.get(key, _DEFAULTS) == value:
            continue
        if isinstance(value, float):
            found.append(f"{key}={value:g}")
        elif isinstance(value, bool | int | str):
            found.append(f"{key}={value}")
        else:
            found.append(key)
    return found


def signature(terms: Iterable[Term]) -> str:
    """A key that changes only when terms, kinds, options or shapes (without the batch size) change.

    What depends on the values of one batch is left out.
    """
    rows = []
    for term in terms:
        options = sorted(
            (k, v if isinstance(v, bool | int | float | str) else "…")
            for k, v in term.options.items()
            if k not in ("candidates", "ignored_as_zero")
        )
        notes = [note for note in term.notes if note not in _OF_ONE_BATCH]
        rows.append((term.kind, term.reduction, term.prediction_shape[1:], term.activation, notes, options))
    return hashlib.blake2b(repr(rows).encode(), digest_size=12).hexdigest()
