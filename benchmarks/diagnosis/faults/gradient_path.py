"""Faults between the loss and the parameters.

After TrainCheck (Jiang et al. 2025: silent training errors), Humbatova et al. 2020 (taxonomy: *training process*,
*API usage*) and DEFault (2025).
"""

import re

from edits import (
    OPTIMIZER,
    Change,
    after_optimizer,
    around_backward,
    before_optimizer,
    chain,
    drop,
    only,
    swap,
)

ZERO = r"\w+\.zero_grad\("
STEP = r"optimizer\.step\("
TAXONOMY = "Humbatova et al. 2020, API usage / training process"
SILENT = "TrainCheck 2025, silent errors"


def _recreated(text: str) -> str | None:
    found = re.search(OPTIMIZER, text, re.MULTILINE)
    if found is None or "scheduler" in text:
        return None
    return around_backward(before=found[0].strip())(text)


CHANGES = (
    Change("missing zero_grad", ("missing-zero-grad",), SILENT, drop(ZERO)),
    Change("no step", ("backward-without-step",), TAXONOMY, drop(STEP)),
    Change("no backward", ("step-without-backward",), TAXONOMY, drop(r"loss\.backward\(")),
    Change(
        "gradient cleared before the step",
        ("step-without-backward", "backward-without-step"),
        SILENT,
        chain(drop(ZERO), around_backward(after="optimizer.zero_grad()")),
    ),
    Change(
        "loss detached",
        ("graph-broken",),
        SILENT,
        around_backward(before="loss = loss.detach().requires_grad_()"),
    ),
    Change(
        "first layer detached",
        ("graph-broken", "parameters-not-optimised"),
        "DEFault 2025, layer faults; Humbatova et al. 2020",
        swap(r"^(        \w+ = torch\.(?:relu|tanh|sigmoid)\(self.*)\n", r"\1.detach()\n"),
    ),
    Change(
        "optimiser of a model that is replaced",
        ("parameters-not-optimised",),
        SILENT,
        chain(
            swap(r"\A((?:.*\n)*?)import torch\n", r"\1import copy\n\nimport torch\n"),
            after_optimizer("{model} = copy.deepcopy({model})"),
        ),
    ),
    Change(
        "only the last layer optimised",
        ("parameters-not-optimised",),
        SILENT,
        swap(r"(torch\.optim\.\w+\()(\w+)\.parameters\(\)", r"\1list(\2.parameters())[-1:]"),
    ),
    Change(
        "all but the last layer frozen",
        ("parameters-frozen", "parameters-not-optimised"),
        "TrainCheck 2025; Humbatova et al. 2020, model",
        before_optimizer("for p in list({model}.parameters())[:-2]:\n    p.requires_grad_(False)"),
    ),
    Change(
        "layers in a plain list",
        ("parameters-not-optimised",),
        TAXONOMY,
        swap(r"nn\.ModuleList\((\[.*\])\)", r"\1"),
    ),
    Change(
        "weights put back each epoch",
        ("weights-overwritten",),
        SILENT,
        chain(
            after_optimizer("start = {{k: v.clone() for k, v in {model}.state_dict().items()}}"),
            swap(r"^(for (?:epoch|step|it) in .*:)\n", r"\1\n    model.load_state_dict(start)\n"),
        ),
    ),
    Change(
        "optimiser made anew each step",
        ("optimiser-recreated",),
        SILENT,
        _recreated,
    ),
    Change(
        "accumulation not averaged",
        ("accumulation-not-averaged",),
        TAXONOMY,
        only(
            r"optim\.SGD",
            chain(
                after_optimizer("updates = 0"),
                swap(
                    r"^([ \t]*)optimizer\.zero_grad\(\)\n",
                    r"\1if updates % 8 == 0:\n\1    optimizer.zero_grad()\n",
                ),
                swap(
                    r"^([ \t]*)optimizer\.step\(\)\n",
                    r"\1updates += 1\n\1if updates % 8 == 0:\n\1    optimizer.step()\n",
                ),
            ),
        ),
    ),
)
