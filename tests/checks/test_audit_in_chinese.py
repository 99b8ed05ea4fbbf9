"""A Chinese report is Chinese throughout: reasons, inputs, and what contracts say."""

import re

import pytest
from torch import nn

import losscope
from losscope.checks.check import all_checks
from losscope.checks.engine import execute
from losscope.checks.phrases import chinese, in_both, render
from losscope.checks.phrases_of_contracts import DECLARED, ELICITED
from losscope.core.text import Text
from losscope.losses.catalogue import specs

ENGLISH = re.compile(r"\b[A-Za-z]?[a-z]{2,}(?: [a-z]{2,})+\b", re.ASCII)


def test_what_contracts_declare_is_known_in_chinese() -> None:
    declared = {why for spec in specs().values() for why in spec.exceptions.values()}
    elicited = {spec.elicits for spec in specs().values()} - {""}
    assert [words for words in declared if words not in DECLARED] == []
    assert [words for words in elicited if words not in ELICITED] == []
    for known in (DECLARED, ELICITED):
        assert [zh for zh in known.values() if not re.search(r"[\u4e00-\u9fff]", zh)] == []


@pytest.mark.parametrize(
    ("why", "told"),
    [
        (
            "its names hint at it and the loss is smallest where this task says",
            "名称暗示如此和损失在该任务所指之处最小",
        ),
        ("it is mse of the catalogue", "它就是目录中的 mse"),
        ("predictions of ±1e4 (all high)", "预测为 ±1e4（全为高）"),
    ],
)
def test_words_are_put_together(why: str, told: str) -> None:
    assert render(why, "zh") == told
    assert render(why, "en") == why
    assert chinese("the loss raised ValueError") is None


def test_both_languages_are_kept_in_one_message() -> None:
    message = in_both(Text(en="here {what}", zh="此处{what}")(what="all predictions 0", seen=3))
    assert (message.render("en"), message.render("zh")) == ("here all predictions 0", "此处所有预测为 0")


@pytest.mark.parametrize(
    "loss",
    [nn.BCELoss(), lambda a, b: 2 * (a - b).abs().mean(), lambda p, t: 1 - 2 * (p * t).sum() / (p + t).sum()],
    ids=["bce", "l1", "dice"],
)
def test_a_report_has_no_english_sentences(loss) -> None:
    names = [n for n, c in all_checks().items() if not c.slow and n not in ("finite", "calibrated", "convex")]
    found = losscope.audit(loss, only=names)
    texts = [e.text.render("zh") for e in found.evidence] + [found.summary("zh").splitlines()[0]]
    assert [(text, words) for text in texts if (words := ENGLISH.findall(text))] == []


def test_english_is_seen() -> None:
    assert ENGLISH.findall("原因：its names hint at it。float16") == ["its names hint at it"]


def test_findings_of_planted_faults_have_no_english_sentences() -> None:
    for name in ("finite", "proper", "quiet", "reduction", "target-validation"):
        for evidence in execute(all_checks()[name], all_checks_broken(name)):
            assert not ENGLISH.findall(evidence.text.render("zh")), evidence.text.render("zh")


def all_checks_broken(name: str):
    import importlib

    module = importlib.import_module(all_checks()[name].run.__module__)
    return module.broken()
