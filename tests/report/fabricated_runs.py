"""Verdicts and recordings made up for the tests of reports."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from losscope.core.finding import Evidence, Finding, TrialResult, Where
from losscope.core.text import Message, Text
from losscope.core.verdict import TermSummary, Training, Validation, Verdict
from losscope.recording import signals
from losscope.recording.reader import Recording


def say(text: str) -> Message:
    """The same words in both languages."""
    shown = text.replace("{", "{{").replace("}", "}}")
    return Text(en=shown, zh=shown)()


@dataclass(frozen=True)
class Run:
    """A verdict and the recording that it belongs to."""

    verdict: Verdict
    recording: Recording


def _series(steps: int, layers: list[str], bad_from: int | None, loss: np.ndarray | None) -> dict[Any, Any]:
    rng = np.random.default_rng(0)
    at = np.arange(steps)
    curve = (0.1 + 2.2 * np.exp(-at / (steps / 6 + 1))) * np.exp(0.1 * rng.standard_normal(steps))
    curve = curve if loss is None else loss
    if bad_from is not None:
        curve[bad_from:] = np.nan
    some = at[:: max(1, steps // 200)]
    noise = np.exp(0.3 * rng.standard_normal(len(some)))
    series: dict[Any, Any] = {
        (signals.LOSS, "0"): (at, curve),
        (signals.STEP_TIME, "0"): (at, np.cumsum(0.004 + 0.001 * rng.random(steps))),
        (signals.LEARNING_RATE, "0/0"): (some, np.linspace(0.1, 0.0, len(some))),
        (signals.GRADIENT_NORM, "0"): (some, noise),
        (signals.UPDATE_RATIO, "0"): (some, 1e-3 * noise),
        (signals.EPOCH, ""): (at[:: max(1, steps // 5)], np.arange(len(at[:: max(1, steps // 5)]))),
        (signals.EVALUATION_LOSS, "test"): (some[10::40], np.linspace(2.0, 0.5, len(some[10::40]))),
    }
    for i, name in enumerate(layers):
        series[signals.GRADIENT_NORM_PARAMETER, name] = (some, noise * 0.1 / (i + 1))
        series[signals.PARAMETER_NORM, name] = (some, np.full(len(some), 2.0))
        series[signals.UPDATE_NORM_PARAMETER, name] = (some, np.full(len(some), 0.002))
    return series


def finding(code: str, severity: Any = "error", **changes: Any) -> Finding:
    """A finding with evidence on the loss curve."""
    evidence = Evidence(
        text=say(f"evidence of {code}"), signal="loss", label="0", value=1.0, expected=say("less"), steps=(3,)
    )
    plain = Finding(
        code=code,
        severity=severity,
        confidence=0.97,
        title=say(f"title of {code}"),
        evidence=(evidence,),
        remedy=say(f"remedy of {code}"),
        where=Where("train.py", 41),
    )
    return replace(plain, **changes)


def make_run(
    *,
    steps: int = 300,
    layers: list[str] | None = None,
    bad_from: int | None = None,
    loss: np.ndarray | None = None,
    events: list[dict[str, Any]] | None = None,
    run: dict[str, Any] | None = None,
    **changes: Any,
) -> Run:
    """A run with one error, two consequences and a warning; every part can be replaced."""
    layers = ["fc1.weight", "fc1.bias"] if layers is None else layers
    recording = Recording.from_memory(
        _series(steps, layers, bad_from, loss),
        events or [{"event": "blind-spot", "what": "compiled step", "why": "under torch.compile"}],
        {"losscope": "0.1.0", "argv": ["train.py"], "started": "2026-11-23T14:02:11Z"}
        if run is None
        else run,
    )
    trial = TrialResult(
        name="lr/10",
        outcome="confirmed",
        effect=0.4,
        interval=(0.3, 0.5),
        curves={"as is": [2.0, 2.1], "lr/10": [2.0, 1.0]},
    )
    verdict = Verdict(
        state="wrong",
        sentence=say("The sentence."),
        training=Training(
            status="stuck",
            steps=steps,
            first_loss=2.3,
            last_loss=0.31,
            validation=Validation(first=2.0, best=0.4, last=0.5),
            overhead=0.0123,
            seconds=75.0,
        ),
        expression="1.0 · cross_entropy(logits[64,10], y; mean)",
        terms=(
            TermSummary(
                kind="cross_entropy",
                coefficient=1.0,
                reduction="mean",
                value=0.31,
                chance=2.302585,
                floor=0.0,
                unit="nats",
            ),
        ),
        findings=(
            finding("double-softmax"),
            finding("loss-at-chance", "warning", because_of="double-softmax"),
            finding("floor-above-zero", "info", because_of="loss-at-chance"),
            finding("learning-rate-too-low", "warning", confidence=0.6, where=None, trial=trial),
        ),
        not_judged=(("overfitting", say("no validation loss was seen")),),
        passed=("non-finite", "missing-zero-grad"),
    )
    return Run(replace(verdict, **changes), recording)
