"""Words inside a sentence in both languages: inputs, reasons, what is elicited, what contracts declare.

Checkers and contracts name these in English; in a Chinese report they are Chinese too. What a loss itself says (the
text of its errors), names of functions and formulas stay as they are.
"""

import re
from dataclasses import replace
from typing import Any

from losscope.checks.phrases_of_contracts import DECLARED, ELICITED
from losscope.core.text import Language, Message, Text

_OWN = {
    # reasons for a task
    "its names hint at it": "名称暗示如此",
    "the loss is smallest where this task says": "损失在该任务所指之处最小",
    "its values are those of a loss of the catalogue": "其值与目录中某损失相同",
    "it has a weight matrix of its own": "它有自己的权重矩阵",
    "other names for the same classes change nothing": "更换类别编号不改变损失",
    "the order of rows matters, that of sequences does not": "行的顺序有影响，序列的顺序没有",
    "the first that it accepts": "它接受的第一种输入",
    "it accepts nothing else": "它不接受其他输入",
    "as given": "由用户指定",
    # inputs
    "mixed": "正负混合",
    "all high": "全为高",
    "all low": "全为低",
    "tiny positive numbers": "极小的正数",
    "all predictions 0": "所有预测为 0",
    "all predictions equal": "所有预测相等",
    "one prediction and its target 0": "一个预测及其目标为 0",
    "certain probabilities (0 and 1)": "确定的概率（0 和 1）",
    "certain and right probabilities (0 and 1)": "确定且正确的概率（0 和 1）",
    "certain and right (0 and 1)": "确定且正确（0 和 1）",
    "all probabilities 0": "所有概率为 0",
    "all probabilities 1": "所有概率为 1",
    "log-probabilities of -1e4": "对数概率为 -1e4",
    "log-probabilities of 0 (certainty)": "对数概率为 0（确定）",
    "boxes without area": "没有面积的框",
    "boxes far away": "相距很远的框",
    "all boxes at the origin without area": "所有框都在原点且没有面积",
    "prediction equals target": "预测等于目标",
    "target with everything in it (all 1)": "目标全为 1",
    "no two samples belong together": "任何两个样本都不同组",
    "nothing there and nothing predicted": "没有目标，也没有预测",
    # why something is not looked at
    "it takes more than one prediction and one target": "它不止接受一个预测和一个目标",
    "its scores are not one per class": "其分数不是每类一个",
    "its predictions are no probabilities of classes": "其预测不是类别概率",
    "it takes several targets": "它接受多个目标",
    "it takes fixed arguments": "它接受固定参数",
    "it takes other arguments": "它接受其他参数",
    # quantities
    "sum": "总和",
    "mean": "均值",
    "number of elements": "元素个数",
    "number of samples": "样本个数",
    "probability of the class": "该类的概率",
    "negative distance": "负距离",
    "gradient": "梯度",
    "logit Hessian": "logit 的 Hessian",
    "0 or 1": "0 或 1",
    "-1 or 1": "-1 或 1",
    "0 to 1": "0 到 1",
    "-1 (ignored)": "-1（被忽略）",
    "a gradient": "有梯度",
    "no gradient": "没有梯度",
}
_KNOWN = {**ELICITED, **DECLARED, **_OWN}
_PATTERNS = (
    (re.compile(r"it is (\S+) of the catalogue"), "它就是目录中的 {0}"),
    (
        re.compile(
            r"(the first that it accepts|it accepts nothing else); perhaps an option was left out: (.+)"
        ),
        "{0}；也许漏掉了选项：{1}",
    ),
    (re.compile(r"it takes (.+)"), "它接受 {0}"),
    (re.compile(r"predictions of ±1e4 \((.+)\)"), "预测为 ±1e4（{0}）"),
    (re.compile(r"predictions of ±(\S+)"), "预测为 ±{0}"),
    (re.compile(r"target with nothing in it \((\S+) all 0\)"), "目标全为 0（{0}）"),
    (re.compile(r"signal (\d+)"), "信号 {0}"),
    (re.compile(r"exit code (\d+)"), "退出码 {0}"),
)


def chinese(words: str) -> str | None:
    """The same in Chinese; ``None`` for what is not known, or the same in both."""
    if words in _KNOWN:
        return _KNOWN[words]
    if " and " in words and all(part in _KNOWN for part in words.split(" and ")):
        return "和".join(_KNOWN[part] for part in words.split(" and "))
    for pattern, text in _PATTERNS:
        if found := pattern.fullmatch(words):
            return text.format(*(_KNOWN.get(group, group) for group in found.groups()))
    return None


def render(words: str, language: Language) -> str:
    """Words in a language, as they are where they are not known in it."""
    return (chinese(words) or words) if language == "zh" else words


def in_both(message: Message) -> Message:
    """The message, with the known words among its values in both languages."""
    return replace(message, values={key: _value(value) for key, value in message.values.items()})


def _value(value: Any) -> Any:
    if isinstance(value, Message):
        return in_both(value)
    if not isinstance(value, str) or (zh := chinese(value)) is None:
        return value
    return Text(en=_literal(value), zh=_literal(zh))()


def _literal(words: str) -> str:
    """Words as a text without placeholders."""
    return words.replace("{", "{{").replace("}", "}}")
