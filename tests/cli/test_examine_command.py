"""``losscope examine``: output, JSON, and one line for what is wrong."""

import json
import time
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import module as torch_modules

import losscope
from losscope.cli.main import main
from losscope.recording.reader import Recording

MODULE = """
import torch, losscope
from torch import nn
from torch.nn.modules import module as torch_modules

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
    monkeypatch.setattr("losscope.watching.keeper.compiled", lambda: False)  # as other tests may have


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
        ("to_examine", "it holds to_examine:objective"),
        ("to_examin:objective", "there is no module"),
        ("to_examine:objectiv", "did you mean objective"),
        ("../to_examine.py:objective", "there is no such file (seen: ../to_examine.py)"),
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


@pytest.mark.parametrize("option", ["--json", "-o"])
def test_where_a_result_cannot_go_is_said_before_the_work(option, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("losscope.examination.examine.examine", None)
    assert main(["examine", "to_examine:ready", option, str(tmp_path / "none" / "x")]) == 2
    assert "its folder does not exist" in capsys.readouterr().err
    assert main(["examine", "to_examine:ready", option, str(tmp_path)]) == 2
    assert "it is a folder" in capsys.readouterr().err


def test_a_page_is_not_written_into_a_json_file(tmp_path, capsys):
    assert main(["examine", "to_examine:ready", "-o", "page.json"]) == 2
    assert "--json page.json writes JSON" in capsys.readouterr().err
    assert not (tmp_path / "page.json").exists()


def test_a_page_with_pictures_in_both_languages(tmp_path):
    for language, said in (("en", "Geometry"), ("zh", "几何")):
        page = tmp_path / f"{language}.html"
        assert (
            main(["examine", "to_examine:ready", "--seconds", "20", "-o", str(page), "--lang", language]) == 0
        )
        html = page.read_text()
        assert said in html and html.count("<svg") >= 3 and "<script" not in html and "http-equiv" in html


def train(loss_of, watched=None, **options):
    """Thirty steps of a small network; the model is gone afterwards. Returns the last loss."""
    torch.manual_seed(0)
    with losscope.watch(out=watched, **options) if watched else nullcontext():
        x, y = torch.randn(64, 5), torch.randint(3, (64,))
        model = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.1), nn.Tanh(), nn.Linear(8, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(30):
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
        time.sleep(1.0 if watched else 0.0)  # an examination never takes longer than the run
    return loss.item(), torch.rand(1).item()


def hooks_for_all_modules():
    return {
        name: dict(value) for name, value in vars(torch_modules).items() if name.startswith("_global_forward")
    }


def unknown(prediction, target):
    return (prediction**5).cos().mean()


def test_a_run_is_examined_at_its_end_and_shown(tmp_path, capfd):
    plain, without = train(F.cross_entropy), hooks_for_all_modules()
    assert train(F.cross_entropy, tmp_path / "run", examine=5) == plain
    assert hooks_for_all_modules() == without
    assert capfd.readouterr().out == ""
    assert main(["examine", str(tmp_path / "run")]) == 0
    shown = capfd.readouterr().out
    assert "proved on update" in shown and "largest curvature" in shown and "parts." not in shown
    report = (tmp_path / "run" / "report.html").read_text()
    assert 'id="geometry"' in report and "stable up to" in report and "learning rate: 0.1" in report
    assert main(["examine", str(tmp_path)]) == 0 and str(tmp_path / "run") in capfd.readouterr().out
    assert main(["examine", str(tmp_path / "run"), "--seconds", "3"]) == 2
    assert "made at its end (seen: --seconds)" in capfd.readouterr().err
    assert main(["examine", str(tmp_path / "run"), "--lang", "zh", "-o", str(tmp_path / "p.html")]) == 0
    assert "梯度" in capfd.readouterr().out and "几何" in (tmp_path / "p.html").read_text()


def test_a_run_that_cannot_be_examined_says_why(tmp_path, capsys):
    train(unknown, tmp_path / "run", examine=5)
    assert main(["examine", str(tmp_path / "run")]) == 2
    assert "a term of the loss is not known" in capsys.readouterr().err
    assert "was not examined" in (tmp_path / "run" / "report.html").read_text()


def test_a_run_without_examination_says_how_to_get_one(tmp_path, capsys):
    train(F.cross_entropy, tmp_path / "run")
    assert main(["examine", str(tmp_path / "run")]) == 2
    assert "--examine" in capsys.readouterr().err
    assert not (tmp_path / "run" / "examination.json").exists()


def test_a_fault_in_the_examination_costs_nothing_else(tmp_path, monkeypatch):
    def fault(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("losscope.examination.after_run.rebuild", fault)
    train(F.cross_entropy, tmp_path / "run", examine=5)
    recorded = Recording.open(tmp_path / "run")
    assert recorded.events_of("fault")[0]["where"] == "examination"
    assert (tmp_path / "run" / "report.html").exists()
