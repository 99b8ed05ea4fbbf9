"""``no-validation``: no loss on held-out data was seen, so generalisation cannot be judged.

**What it says.** The script computed no loss without gradients on data other than its training loader, or
computed it in a way that the watch cannot see.

**Statistic.** None: there is no evaluation series but those over the training loader, after 30 updates.

**Source.** About half of real training scripts have no validation (44 of 79 that were looked at).

**Example.** A loop over ``train_loader`` and nothing else.

**Remedy.** Evaluate on held-out data once per epoch.

**False alarms.** Context only, never a complaint. An evaluation by accuracy alone, or by a hand-written formula,
is not seen.
"""

from losscope.core.finding import Evidence
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.evaluations import held_out_labels
from losscope.rules.planted import falling, record
from losscope.rules.reasons import MIN_UPDATES, no_loss, too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import main_stream, updates

_EVIDENCE = Text(
    en="{count} evaluation series, none of them on held-out data",
    zh="{count} 个评估序列，没有一个来自留出数据",
)
_EXPECTED = Text(en="at least one", zh="至少一个")
_REMEDY = Text(
    en="Once per epoch, compute the loss on held-out data: model.eval(), then torch.no_grad() around a loop over "
    "a validation loader.",
    zh="每个 epoch 在留出数据上计算一次损失：先 model.eval()，再在 torch.no_grad() 下遍历验证集加载器。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording)
    if stream is None:
        return no_loss()
    seen = updates(recording, stream)
    if seen < MIN_UPDATES:
        return too_few(seen)
    if held_out_labels(recording):
        return []
    count = len(recording.labels(signals.EVALUATION_LOSS))
    evidence = Evidence(
        text=_EVIDENCE(count=count),
        signal=signals.EVALUATION_LOSS.name,
        value=float(count),
        expected=_EXPECTED(),
    )
    return [RULE.finding(confidence=0.9, evidence=(evidence,), remedy=_REMEDY())]


RULE = Rule(
    code="no-validation",
    severity="info",
    title=Text(en="No loss on held-out data was seen", zh="没有观察到留出数据上的损失"),
    judge=judge,
    needs=(signals.LOSS,),
)


def broken() -> Recording:
    """Training only."""
    return record(falling())


def healthy() -> Recording:
    """One evaluation at the end, on a test set."""
    return record(falling(), validation=[0.3])
