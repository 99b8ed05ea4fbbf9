"""torchmortem 0.1.1: an autopsy is attached where the optimiser is made, and told the loss after each step."""

import runpy
from pathlib import Path

from edits import after_optimizer, chain, swap

_instrument = chain(
    after_optimizer(
        "import torchmortem\n_autopsy = torchmortem.Autopsy({model}, optimizer={opt})\n_autopsy.attach()"
    ),
    swap(
        r"^([ \t]*)optimizer\.step\(.*\)\n",
        lambda m: m[0] + f"{m[1]}_autopsy.step(loss=float(loss.detach()))\n",
    ),
)
_CODES = {"dead_units": "dead-units", "saturation": "saturated-units"}
_TITLES = (("anish", "vanishing-gradient"), ("xplo", "exploding-gradient"), ("iverg", "diverging-loss"))


def judge(script: Path, folder: Path) -> dict:
    """Warnings and criticals; a script that cannot be instrumented by the recipe of its README is not judged."""
    text = _instrument(script.read_text())
    if text is None:
        runpy.run_path(str(script), run_name="__main__")
        return {"state": "not applicable", "findings": []}
    changed = folder / "instrumented.py"
    changed.write_text(text)
    autopsy = runpy.run_path(str(changed), run_name="__main__")["_autopsy"]
    autopsy.detach()
    order = {"CRITICAL": 0, "WARNING": 1}
    found = sorted(autopsy.get_report().findings, key=lambda f: order.get(f.severity.name, 2))
    return {
        "state": "judged",
        "findings": [
            {
                "code": _code(f),
                "severity": "warning" if f.severity.name in order else "info",
                "title": f.title,
            }
            for f in found
        ],
    }


def _code(finding) -> str:
    if finding.category in _CODES:
        return _CODES[finding.category]
    return next((code for word, code in _TITLES if word in finding.title), finding.category)
