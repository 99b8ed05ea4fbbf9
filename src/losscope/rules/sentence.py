"""The one sentence that stands first in every report."""

from collections.abc import Sequence
from typing import Any

from losscope.core.finding import Finding, NotJudged
from losscope.core.text import Message, Text
from losscope.core.verdict import Training
from losscope.recording.reader import Recording
from losscope.rules.comparison import compared
from losscope.rules.composition import composition
from losscope.rules.course import AIMLESS, Course, skills, worse_than_chance
from losscope.rules.curve import loss_curve
from losscope.rules.messages import join
from losscope.rules.numbers import readable
from losscope.rules.reasons import MIN_UPDATES
from losscope.rules.remark import remark
from losscope.rules.streams import aimless_kind, coupled, main_stream
from losscope.rules.terms import TermView, terms

_HARDLY = 0.1  # skill below which a loss is not said to work, in words only: no finding rests on it
_WORKS = {
    "converged": Text(
        en="Training works: the loss fell from {first} to {last}{unit}{share} in {updates} updates "
        "and has converged.",
        zh="训练正常：损失在 {updates} 次更新中从 {first} 降到 {last}{unit}{share_zh}，已经收敛。",
    ),
    "falling": Text(
        en="Training works: the loss fell from {first} to {last}{unit}{share} in {updates} updates "
        "and is still falling.",
        zh="训练正常：损失在 {updates} 次更新中从 {first} 降到 {last}{unit}{share_zh}，并仍在下降。",
    ),
    "fell": Text(
        en="Training works: the loss fell from {first} to {last}{unit}{share} in {updates} updates; "
        "noise hides whether it has converged.",
        zh="训练正常：损失在 {updates} 次更新中从 {first} 降到 {last}{unit}{share_zh}；"
        "噪声掩盖了它是否已经收敛。",
    ),
    "rose": Text(
        en="Nothing wrong was found: the loss fell from {first} to {last}{unit}{share} in {updates} updates, "
        "but rose over the last half.",
        zh="未发现问题：损失在 {updates} 次更新中从 {first} 降到 {last}{unit}{share_zh}，但后半程有所上升。",
    ),
    "steady": Text(
        en="Nothing wrong was found: the loss went from {first} to {last}{unit}{share} in {updates} "
        "updates and is steady.",
        zh="未发现问题：损失在 {updates} 次更新中从 {first} 变为 {last}{unit}{share_zh}，保持平稳。",
    ),
    "unsettled": Text(
        en="Nothing wrong was found: the loss went from {first} to {last}{unit}{share} in {updates} "
        "updates, without a trend beyond its noise.",
        zh="未发现问题：损失在 {updates} 次更新中从 {first} 变为 {last}{unit}{share_zh}，"
        "没有超出噪声的趋势。",
    ),
    "stuck": Text(
        en="The loss has not fallen beyond its noise: it went from {first} to {last}{unit}{share} in {updates} "
        "updates; no cause was found.",
        zh="损失没有出现超出噪声的下降：在 {updates} 次更新中从 {first} 变为 {last}{unit}{share_zh}；未找到原因。",
    ),
}
_NOT_BETTER = Text(
    en="The loss went from {first} to {last}{unit} in {updates} updates, which is not yet better than a constant "
    "answer{share}.",
    zh="损失在 {updates} 次更新中从 {first} 变为 {last}{unit}，但仍不比常数预测更好{share_zh}。",
)
_BARELY = Text(
    en="The loss went from {first} to {last}{unit} in {updates} updates: so far hardly better than a constant "
    "answer{share}.",
    zh="损失在 {updates} 次更新中从 {first} 变为 {last}{unit}：目前几乎不比常数预测更好{share_zh}。",
)
_UNJUDGED = Text(
    en="No fault was found in {updates} updates, but the loss curve could not be judged{why}.",
    zh="在 {updates} 次更新中未发现问题，但无法判断损失曲线{why}。",
)
_EACH = Text(en=", a sum with {each} per element,", zh="，为求和，每个元素 {each}，")
_NO_PROGRESS = Text(
    en="Nothing wrong was found in {updates} updates; the value of {kind} does not measure progress.",
    zh="在 {updates} 次更新中未发现问题；{kind} 的数值不反映训练进展。",
)
_COUPLED = Text(
    en="Nothing wrong was found in {updates} updates: {streams} objectives were trained in alternation, and "
    "their values do not measure progress by themselves.",
    zh="未发现问题：{streams} 个目标交替训练（{updates} 次更新）；它们的数值本身不反映训练进展。",
)
_NOTHING = Text(
    en="No training was seen: no backward pass through a loss was recorded{seen}.",
    zh="没有观察到训练：没有记录到对损失的反向传播{seen_zh}。",
)
_CUT_OFF = Text(
    en="Training had begun, but was cut off before its first losses were written: there is nothing to judge.",
    zh="训练已经开始，但在写入首批损失之前被中断：没有可判断的内容。",
)
_NO_UPDATE = Text(
    en="A loss was read, but no complete update was recorded: there is nothing to judge.",
    zh="读取到了损失，但没有记录到完整的更新：没有可判断的内容。",
)
_ONLY_EVALUATION = Text(en=", only evaluation of a loss without gradient", zh="，只有不带梯度的损失评估")
_SHORT = Text(
    en="Too few updates to judge: the loss went from {first} to {last} in {updates} of the "
    "{needed} updates needed.",
    zh="更新次数太少，无法判断：损失在 {updates} 次更新中从 {first} 变为 {last}，至少需要 {needed} 次。",
)
_ENDINGS = {
    "exception": Text(
        en=" The script ended with an error{exception}.",
        zh="脚本因错误而终止{exception}。",
    ),
    "interrupted": Text(en=" The script was interrupted.", zh="脚本被中断。"),
    "killed": Text(
        en=" The script did not end by itself: it was killed or is still running.",
        zh="脚本没有自行结束：它被终止或仍在运行。",
    ),
    "killed-by-exit": Text(
        en=" The script ended itself at once with status {code} (os._exit).",
        zh="脚本以状态码 {code} 立即自行终止（os._exit）。",
    ),
    "exit": Text(en=" The script exited with status {code}.", zh="脚本以状态码 {code} 退出。"),
}


def sentence(recording: Recording, did: Course, training: Training, findings: Sequence[Finding]) -> Message:
    """Name the top cause, or say what the loss did; then, where it matters, how the script ended."""
    return join(_body(recording, did, training, findings), _ending(recording))


def _body(recording: Recording, did: Course, training: Training, findings: Sequence[Finding]) -> Message:
    top = next((f for f in findings if f.severity != "info"), None)
    if top is not None:
        return _with_stop(top.title)
    stream = main_stream(recording)
    if stream is None:
        return _nothing(recording, training)
    level = training.level
    first, last = (level.first, level.last) if level is not None else (float("nan"), float("nan"))
    if did == "too-short":
        return _SHORT(first=readable(first), last=readable(last), updates=training.steps, needed=MIN_UPDATES)
    if did in AIMLESS:
        rivals, kind = coupled(recording), aimless_kind(recording, stream)
        if rivals > 1:
            return _COUPLED(streams=rivals, updates=training.steps)
        return _NO_PROGRESS(updates=training.steps, kind=kind or "the loss")
    if did not in _WORKS:
        return _unjudged(recording, training)
    words = _facts(terms(recording, stream), first, last, training.steps)
    if _at_chance(recording, stream, did):
        said = _NOT_BETTER
    else:
        said = _BARELY if _near_chance(recording, stream) else _WORKS[did]
    return join(said(**words), remark(composition(recording, stream)))


def _nothing(recording: Recording, training: Training) -> Message:
    """No loss was written: the process was killed before it could be, or nothing was trained."""
    if recording.events_of("anatomy"):
        return _NO_UPDATE() if recording.events_of("script-end") else _CUT_OFF()
    seen = _ONLY_EVALUATION() if training.validation else None
    return _NOTHING(seen=seen.render("en") if seen else "", seen_zh=seen.render("zh") if seen else "")


def _unjudged(recording: Recording, training: Training) -> Message:
    judged = loss_curve(recording)
    said = judged.why if isinstance(judged, NotJudged) else None
    texts = {
        "en": _UNJUDGED(updates=training.steps, why=f": {said.render('en')}" if said else "").render("en"),
        "zh": _UNJUDGED(updates=training.steps, why=f"：{said.render('zh')}" if said else "").render("zh"),
    }
    return Text(**{lang: text.replace("{", "{{").replace("}", "}}") for lang, text in texts.items()})()


def _at_chance(recording: Recording, stream: str, did: Course) -> bool:
    """Every term with a chance level is not significantly below it; for a loss that did not fall, above it."""
    if did == "stuck":
        return worse_than_chance(recording)
    found = skills(recording, stream)
    return bool(found) and all(skill.low <= 0 for skill in found)


def _near_chance(recording: Recording, stream: str) -> bool:
    """Every term with a chance level has closed less than a tenth of the way from there to zero."""
    found = skills(recording, stream)
    return bool(found) and all(skill.high < _HARDLY for skill in found)


def _facts(found: list[TermView], first: float, last: float, steps: int) -> dict[str, Any]:
    words: dict[str, Any] = {"first": readable(first), "last": readable(last), "updates": steps}
    words |= {"unit": "", "share": "", "share_zh": ""}
    if len(found) == 1:
        term = found[0]
        words["unit"] = term.unit
        told = (
            compared(last / term.coefficient, term) if term.is_whole_loss and term.coefficient > 0 else None
        )
        if told is not None:
            words |= {"share": told.render("en"), "share_zh": told.render("zh")}
        if term.elements and term.elements > 1:
            each = _EACH(each=readable(last / abs(term.coefficient) / term.elements))
            words["share"] += each.render("en")
            words["share_zh"] += each.render("zh")
    return words


def _with_stop(title: Message) -> Message:
    return Message(Text(en=title.text.en + ".", zh=title.text.zh + "。"), title.values)


def _ending(recording: Recording) -> Message | None:
    ends = recording.events_of("script-end")
    status = str(ends[-1].get("status")) if ends else "killed"
    if not ends and not recording.events_of("run-start"):
        return None
    if status == "exception":
        told = str(ends[-1].get("exception") or "")
        return _ENDINGS["exception"](exception=f": {told}" if told else "")
    if ends and status in {"exit", "finished", "killed-by-exit"}:
        code = ends[-1].get("exit_code")
        return _ENDINGS["exit" if status == "finished" else status](code=code) if code else None
    return _ENDINGS[status]() if status in _ENDINGS else None
