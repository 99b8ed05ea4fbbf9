"""torchdiag 0.1.0: gradients and dead neurons are checked once, with the last batch, when the script has ended."""

import runpy
from pathlib import Path
from re import MULTILINE, search

import torchdiag
from edits import OPTIMIZER, after_optimizer, model_of

_GRADIENT = {
    "EXPLODE": "exploding-gradient",
    "VANISH": "vanishing-gradient",
    "no_grad": "parameters-not-optimised",
}
_keep_input = after_optimizer(
    "_seen = []\n{model}.register_forward_pre_hook(lambda m, a: _seen.append(a) or _seen.__delitem__(slice(0, -1)))"
)


def judge(script: Path, folder: Path) -> dict:
    """``check_gradients`` and ``check_dead_neurons``; ``verify_step`` wants a loss function and is left out."""
    text = script.read_text()
    if not search(OPTIMIZER, text, MULTILINE):
        runpy.run_path(str(script), run_name="__main__")
        return {"state": "not applicable", "findings": []}
    changed = folder / "instrumented.py"
    changed.write_text(_keep_input(text) or text)
    names = runpy.run_path(str(changed), run_name="__main__")
    model = names[model_of(text)]
    statuses = {v["status"] for v in torchdiag.check_gradients(model).values()}
    codes = [code for status, code in _GRADIENT.items() if status in statuses]
    seen = names["_seen"]
    if seen and len(seen[-1]) == 1:
        dead = torchdiag.check_dead_neurons(model, seen[-1][0])
        codes += ["dead-units"] if any(layer.get("dead_pct", 0) > 20 for layer in dead.values()) else []
    return {"state": "judged", "findings": [{"code": code, "severity": "warning"} for code in codes]}
