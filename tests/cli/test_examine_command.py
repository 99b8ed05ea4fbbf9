"""``losscope examine``: output, JSON, and one line for what is wrong."""

import json

import pytest

from losscope.cli.main import main

MODULE = """
import torch, losscope
from torch import nn

def objective():
    torch.manual_seed(0)
    x = torch.randn(20, 3)
    return losscope.Objective(nn.Linear(3, 2), nn.CrossEntropyLoss(), (x, torch.randint(2, (20,))))

ready = objective()

def failing():
    raise ValueError("no data here")

def number():
    return 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "to_examine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize("name", ["objective", "ready"])
def test_a_report(name, capsys):
    assert main(["examine", f"to_examine:{name}", "--seconds", "5"]) == 0
    printed = capsys.readouterr().out
    assert "largest curvature" in printed and "slope" in printed


def test_json_to_a_file_and_to_stdout(tmp_path, capsys):
    assert main(["examine", "to_examine:ready", "--only", "value", "--json", "found.json"]) == 0
    capsys.readouterr()
    assert main(["examine", "to_examine:ready", "--only", "value", "--json", "-"]) == 0
    both = json.loads(capsys.readouterr().out), json.loads((tmp_path / "found.json").read_text())
    assert both[0]["facts"] == both[1]["facts"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("to_examine", "this names nothing"),
        ("to_examin:objective", "there is no module"),
        ("to_examine:objectiv", "did you mean objective"),
        ("to_examine:number", "gives no objective (seen: int)"),
        ("to_examine:failing", "raised ValueError"),
    ],
)
def test_bad_targets_are_one_line(target, said, capsys):
    assert main(["examine", target]) == 2
    errors = capsys.readouterr().err
    assert said in errors.splitlines()[-1]
    assert ("Traceback" in errors) is (target == "to_examine:failing")
    assert "losscope/cli" not in errors
