"""One line with the cause where every kind of input ends in the same error; keywords; files."""

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import losscope
from losscope.checks.infer import infer, subject_of
from losscope.checks.target import of, resolve
from losscope.core.errors import BadUsage


def on_a_gpu(pred: Tensor, target: Tensor) -> Tensor:
    raise AssertionError("Torch not compiled with CUDA enabled")


def leaves(pred: Tensor, target: Tensor) -> Tensor:
    sys.exit(3)


def huge(pred: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(pred, target) + torch.ones(len(pred), 10**14).sum()


@pytest.mark.parametrize(
    ("loss", "words"),
    [(on_a_gpu, "needs a GPU"), (leaves, "ends the process"), (huge, "asks for 2.4e+06 GB")],
)
@pytest.mark.parametrize("task", [None, "regression"])
def test_the_cause_is_told_once(loss, words, task):
    with pytest.raises(BadUsage) as caught:
        infer(of(loss), task)
    assert words in str(caught.value)
    assert "tried" not in str(caught.value).replace("you tried", "")


class ByKeyword(torch.nn.Module):
    def forward(self, *, pred: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(pred, target)


def an_option(pred: Tensor, target: Tensor, *, scale: float) -> Tensor:
    return scale * F.l1_loss(pred, target)


def test_arguments_by_keyword_only():
    for loss in (ByKeyword, ByKeyword()):
        subject = subject_of(of(loss), infer(of(loss)))
        pred, target = subject.case(0)
        torch.testing.assert_close(subject(pred, target), F.l1_loss(pred, target))
    assert of(ByKeyword).parameters == ("pred", "target")
    assert of(an_option, {"scale": 2.0}).parameters == ("pred", "target")
    assert "by_keyword(pred=pred, target=target)" in of(ByKeyword).source({})
    assert not losscope.audit(ByKeyword, only=["gradient", "finite"], isolate=False).bugs


def test_a_file_names_its_module(tmp_path: Path, monkeypatch):
    (tmp_path / "losses_in_a_file.py").write_text("def mse(x, t): return (x - t).square().mean()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert resolve("losses_in_a_file.py:mse").name == "losses_in_a_file.mse"
    with pytest.raises(BadUsage, match="no such file"):
        resolve("absent.py:mse")
    monkeypatch.chdir("/")
    (tmp_path / "no-module.py").write_text("")
    with pytest.raises(BadUsage, match=r"no-module\.py:NAME"):
        resolve(f"{tmp_path}/no-module.py:mse")
