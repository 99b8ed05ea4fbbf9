"""``losscope examine``: output, JSON, and one line for what is wrong."""

import json
import subprocess
import sys

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


def test_a_page_with_pictures_in_both_languages(tmp_path):
    for language, said in (("en", "Geometry"), ("zh", "几何")):
        page = tmp_path / f"{language}.html"
        assert (
            main(["examine", "to_examine:ready", "--seconds", "20", "-o", str(page), "--lang", language]) == 0
        )
        html = page.read_text()
        assert said in html and html.count("<svg") >= 3 and "<script" not in html and "http-equiv" in html


SCRIPT = """
import torch
from torch import nn

def main():
    torch.manual_seed(0)
    x, y = torch.randn(64, 5), torch.randint(3, (64,))
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(30):
        optimizer.zero_grad()
        loss = LOSS
        loss.backward()
        optimizer.step()
    print(float(loss))

main()
"""


def watched(tmp_path, loss, *options):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("LOSS", loss))
    command = [sys.executable, "-m", "losscope", "run", "--out", str(tmp_path / "run"), *options, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_a_run_is_examined_at_its_end_and_shown(tmp_path, capsys):
    plain = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("LOSS", "nn.functional.cross_entropy(model(x), y)")],
        capture_output=True,
        text=True,
        check=True,
    )
    done = watched(tmp_path, "nn.functional.cross_entropy(model(x), y)")
    assert done.stdout == plain.stdout
    assert main(["examine", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().out
    assert "proved on update" in shown and "model was gone" in shown and "1,2" not in shown
    assert 'id="geometry"' in (tmp_path / "run" / "report.html").read_text()
    assert main(["examine", str(tmp_path / "run"), "--lang", "zh", "-o", str(tmp_path / "p.html")]) == 0
    assert "已" in (tmp_path / "p.html").read_text() or "梯度" in capsys.readouterr().out


def test_a_run_that_cannot_be_examined_says_why(tmp_path, capsys):
    watched(tmp_path, "(model(x) ** 5).cos().mean()")
    assert main(["examine", str(tmp_path / "run")]) == 2
    assert "a term of the loss is not known" in capsys.readouterr().err
    assert "was not examined" in (tmp_path / "run" / "report.html").read_text()


def test_a_run_without_examination_says_how_to_get_one(tmp_path, capsys):
    watched(tmp_path, "nn.functional.cross_entropy(model(x), y)", "--examine", "0")
    assert main(["examine", str(tmp_path / "run")]) == 2
    assert "--examine" in capsys.readouterr().err
    assert not (tmp_path / "run" / "examination.json").exists()
