"""A one-line fix is shown where it is known, and never where it is a guess."""

import os
import textwrap

import pytest

from losscope.core.finding import Evidence, Finding, TrialResult, Where
from losscope.core.text import Text
from losscope.recording.reader import Recording
from losscope.report.fix import diff_of
from losscope.report.format import formats
from losscope.report.view import trial_lines
from losscope.rules.judge import judge_run
from losscope.rules.learning_rate_too_high import broken

WORDS = Text(en="words", zh="词")()
LOOP = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in loader:
    loss = F.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
"""


def rate(*curves, outcome="confirmed"):
    drawn = {f"learning rate ×{f}": [3.0, end] for f, end in curves}
    return TrialResult(name="learning-rate", outcome=outcome, effect=0.5, interval=(0.4, 0.6), curves=drawn)


def diff(folder, source, code, line=1, trial=None, started="2100-01-01T00:00:00Z"):
    file = folder / "train.py"
    file.write_text(textwrap.dedent(source))
    evidence = (Evidence(text=WORDS, signal="loss", value=1.0, expected=WORDS),)
    finding = Finding(
        code=code,
        severity="error",
        confidence=0.99,
        title=WORDS,
        evidence=evidence,
        remedy=WORDS,
        where=Where(str(file), line),
        trial=trial,
    )
    return diff_of(finding, Recording.from_memory({}, [], {"started": started, "cwd": str(folder)}))


USED = "model = N().to(device)\nfor x, y in data:\n    loss = F.cross_entropy(model(x), y)\n"
KNOWN = {
    "zero_grad": (LOOP, "missing-zero-grad", 4, None, "+    optimizer.zero_grad()\n     loss.backward()"),
    "last layer": (
        "m = nn.Sequential(nn.Linear(2, 3), nn.Softmax(dim=1))\nl = F.cross_entropy(m(x), y)",
        *("double-softmax", 2, None),
        "-m = nn.Sequential(nn.Linear(2, 3), nn.Softmax(dim=1))\n+m = nn.Sequential(nn.Linear(2, 3))",
    ),
    "last layer on a line of its own": (
        "m = nn.Sequential(\n    nn.Linear(2, 3),\n    nn.Sigmoid(),\n)\nz = m(x)\nl = loss(z, y)",
        *("sigmoid-before-logits-loss", 6, None),
        "-    nn.Sigmoid(),",
    ),
    "returned": (
        "class N(nn.Module):\n    def forward(self, x):\n        return F.softmax(self.l(x), dim=-1)\n"
        + USED,
        *("double-softmax", 6, None),
        "+        return self.l(x)",
    ),
    "returned by a method": (
        "class N(nn.Module):\n    def forward(self, x):\n        return self.l(x).softmax(1)\n" + USED,
        *("double-softmax", 6, None),
        "+        return self.l(x)",
    ),
    "a layer of its own": (
        "class N(nn.Module):\n    def __init__(self):\n        self.out = nn.Softmax(1)\n\n"
        "    def forward(self, x):\n        return self.out(self.l(x))\n" + USED,
        *("double-softmax", 9, None),
        "+        return self.l(x)",
    ),
    "in the loss": (
        "loss = F.binary_cross_entropy_with_logits(torch.sigmoid(z), y)",
        *("sigmoid-before-logits-loss", 1, None),
        "+loss = F.binary_cross_entropy_with_logits(z, y)",
    ),
    "rate": (
        "o = torch.optim.Adam(model.parameters(), lr=3.0)",
        *("learning-rate-too-high", 1, rate(("1", 3.0), ("0.1", 2.0), ("0.01", 1.0))),
        "+o = torch.optim.Adam(model.parameters(), lr=0.03)",
    ),
    "shape": (LOOP, "shape-broadcast", 4, None, "+    loss = F.mse_loss(model(x).reshape_as(y), y)"),
    "shape by hand": (
        "loss = ((pred - y) ** 2).mean()",
        *("shape-broadcast", 1, None),
        "+loss = ((pred.reshape_as(y) - y) ** 2).mean()",
    ),
    "detach": (
        "o = Adam([*encoder.parameters(), *head.parameters()])\nout = head(encoder(x).detach())",
        *("graph-broken", 1, None),
        "+out = head(encoder(x))",
    ),
}

UNKNOWN = {
    "zero_grad elsewhere": (LOOP + "    optimizer.zero_grad()\n", "missing-zero-grad", 4, None),
    "two optimisers": (LOOP + "    other.step()\n", "missing-zero-grad", 4, None),
    "accumulation": (
        LOOP.replace("    optimizer.step()", "    if x: optimizer.step()"),
        "missing-zero-grad",
        4,
        None,
    ),
    "two loops": (LOOP + LOOP, "missing-zero-grad", 4, None),
    "cleared by hand": (LOOP + "    p.grad = None\n", "missing-zero-grad", 4, None),
    "two softmaxes": (
        "m = nn.Sequential(a, nn.Softmax(1))\np = torch.softmax(z, 1)",
        "double-softmax",
        1,
        None,
    ),
    "attention": (
        "w = torch.softmax(q @ k, -1)\nloss = F.cross_entropy(w @ v, y)",
        "double-softmax",
        2,
        None,
    ),
    "in the middle": ("m = nn.Sequential(a, nn.Softmax(1), b)", "double-softmax", 1, None),
    "only layer": ("m = nn.Sequential(nn.Softmax(1))", "double-softmax", 1, None),
    "one return of two": (
        "class N(nn.Module):\n    def forward(self, x):\n        if a: return x\n        return x.softmax(1)\n",
        *("double-softmax", 1, None),
    ),
    "a variable": (
        "o = Adam(model.parameters(), lr=rate)",
        "learning-rate-too-high",
        1,
        rate(("1", 3.0), ("0.1", 2.0)),
    ),
    "not tried": ("o = Adam(model.parameters(), lr=3.0)", "learning-rate-too-high", 1, None),
    "left open": (
        "o = Adam(model.parameters(), lr=3.0)",
        *("learning-rate-too-high", 1, rate(("1", 3.0), ("0.1", 2.0), outcome="open")),
    ),
    "two groups": (
        "o = Adam([dict(params=a, lr=1.0)], lr=3.0)",
        *("learning-rate-too-high", 1, rate(("1", 3.0), ("0.1", 2.0))),
    ),
    "another call": ("loss = helper(pred, y)", "shape-broadcast", 1, None),
    "two differences": ("loss = ((a - b) - (c - d)).mean()", "shape-broadcast", 1, None),
    "detached twice": ("a = b.detach()\nc = d.detach()", "graph-broken", 1, None),
    "a logged loss": ("total = loss.detach()\nloss.backward()", "graph-broken", 1, None),
    "a gate": (
        "g = nn.Sequential(a, nn.Softmax(1))\nh = g(x) * x\nl = F.cross_entropy(model(x), y)",
        *("double-softmax", 3, None),
    ),
    "a module inside": (
        "class N(nn.Module):\n    def forward(self, x):\n        return x.softmax(1)\n"
        "class M(nn.Module):\n    def __init__(self):\n        self.n = N()\n"
        "model = M()\nloss = F.cross_entropy(model(x), y)\n",
        *("double-softmax", 8, None),
    ),
    "an argument of the model": (
        "loss = F.cross_entropy(model(torch.softmax(x, 1)), y)",
        "double-softmax",
        1,
        None,
    ),
    "a teacher": ("o = Adam(student.parameters())\nt = teacher(x).detach()", "graph-broken", 1, None),
    "another cut": ("a = b.detach()\nwith torch.no_grad():\n    c = f(a)", "graph-broken", 1, None),
    "no Python": ("loss = (", "shape-broadcast", 1, None),
    "another finding": (LOOP, "no-validation", 4, None),
    "other than ASCII": ("größe = torch.softmax(z, 1); l = F.cross_entropy(z, y)", "double-softmax", 1, None),
}


@pytest.mark.parametrize("case", KNOWN)
def test_a_known_fix_is_one_line(case, tmp_path):
    *given, expected = KNOWN[case]
    found = diff(tmp_path, *given)
    assert found[0].startswith("@@ train.py:")
    assert expected in "\n".join(found)
    assert sum(line[0] == "+" for line in found) <= 1
    assert sum(line[0] == "-" for line in found) <= 1


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_guess_is_not_shown(case, tmp_path):
    assert diff(tmp_path, *UNKNOWN[case]) == []


def test_a_file_that_was_changed_since_is_not_read(tmp_path):
    assert diff(tmp_path, LOOP, "missing-zero-grad", 4, started="2020-01-01T00:00:00Z") == []
    assert diff(tmp_path, LOOP, "missing-zero-grad", 4, started="") == []
    os.utime(tmp_path / "train.py", (0, 0))
    (tmp_path / "train.py").unlink()


def test_curves_of_an_experiment_are_told_in_figures():
    finding = judge_run(broken()).findings[0]
    finding = Finding(
        **{name: getattr(finding, name) for name in finding.__slots__} | {"trial": rate(("1", 2.5))}
    )
    assert trial_lines(finding) == ["learning rate ×1: 3 → 2.5"]
    swept = TrialResult(
        name="range", outcome="open", effect=0, interval=(0, 0), curves={"loss": [3.0, 1.0]}, at=(0.1, 1.0)
    )
    finding = Finding(**{name: getattr(finding, name) for name in finding.__slots__} | {"trial": swept})
    assert trial_lines(finding) == ["loss: ×0.1: 3, ×1: 1"]


@pytest.mark.parametrize("name", ["terminal", "markdown", "html"])
def test_every_format_shows_curves_and_diff(name, tmp_path):
    file = tmp_path / "train.py"
    file.write_text("o = Adam(model.parameters(), lr=3.0)  # <b>\n")
    recording = broken()
    recording.run = {"started": "2100-01-01T00:00:00Z", "cwd": str(tmp_path)}
    verdict = judge_run(recording)
    top = verdict.findings[0]
    changed = {"trial": rate(("1", 3.25), ("0.1", 1.75)), "where": Where(str(file), 1)}
    top = Finding(**{name: getattr(top, name) for name in top.__slots__} | changed)
    verdict = type(verdict)(
        **{n: getattr(verdict, n) for n in verdict.__slots__} | {"findings": (top, *verdict.findings[1:])}
    )
    text = formats()[name].render(verdict, recording, "en")
    assert "lr=0.3)" in text
    assert "learning rate ×0.1" in text.replace("\\", "")
    assert "# <b>" not in text or name != "html"
