"""``precision-stalled``: updates are rounded away, because the parameters are kept in bf16 or fp16.

**What it says.** Most entries of the half-precision parameters have a gradient and yet never move: each update is
less than half the distance to the next number that the format can hold, so that the sum is the old number again.

**Statistic.** Share of entries with a non-zero gradient that are the same after an update as at the sample before
it, so that no update in between moved them either; the median over the later half of at least six samples. From a
half on: *error* where the run has a learning deficit, *warning* where nine tenths stand still, else *info*.

**Source.** Zamirai et al. (2020), *Revisiting BFloat16 Training*: nearest rounding cancels small updates. Distances
between numbers: 2⁻⁸ to 2⁻⁷ of a number in bfloat16, 2⁻¹¹ to 2⁻¹⁰ in float16.

**Example.** ``model.bfloat16()`` and ``AdamW(model.parameters(), lr=1e-5)``.

**Remedy.** Keep the parameters in float32 and compute in bf16 under ``torch.autocast``.

**False alarms.** Silent on float32 parameters under autocast, on master copies in float32, on optimisers with
stochastic rounding or compensated sums (their entries move in the long run), and on entries without a gradient.
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged, Severity
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.deficit import learning_deficit
from losscope.rules.planted import every, falling, flat, optimizer, record
from losscope.rules.reasons import too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import line_of, streams, values

_SAMPLES, _HALF, _NEARLY_ALL = 6, 0.5, 0.9
_TITLE = Text(
    en="{share} of the half-precision weights never move: their updates are rounded away",
    zh="{share} 的半精度权重从未移动：更新被舍入掉了",
)
_EVIDENCE = Text(
    en="{share} of the entries with a gradient were the same after the updates as before them",
    zh="有梯度的元素中，{share} 在更新前后完全相同",
)
_EXPECTED = Text(en="close to 0", zh="接近 0")
_REMEDY = Text(
    en="Keep the parameters in float32 and use torch.autocast(…, dtype=torch.bfloat16) for the forward pass, or an "
    "optimiser with stochastic rounding.",
    zh="参数保持 float32，仅在前向计算中使用 torch.autocast(…, dtype=torch.bfloat16)，或使用带随机舍入的优化器。",
)


def judge(recording: Recording) -> Outcome:
    most = 0
    for stream in streams(recording):
        found = values(recording, signals.STALLED_SHARE, stream)
        most = max(most, int(found.size))
        if found.size < _SAMPLES:
            continue
        share = float(np.median(found[found.size // 2 :]))
        if share < _HALF:
            continue
        shown = f"{100 * share:.0f} %"
        evidence = Evidence(
            text=_EVIDENCE(share=shown),
            signal=signals.STALLED_SHARE.name,
            label=stream,
            value=share,
            expected=_EXPECTED(),
        )
        return [
            RULE.finding(
                title=_TITLE(share=shown),
                severity=_severity(recording, share),
                confidence=0.9,
                evidence=(evidence,),
                remedy=_REMEDY(),
                where=line_of(recording, stream, "optimizer"),
            )
        ]
    return [] if most >= _SAMPLES else too_few(most, _SAMPLES)


def _severity(recording: Recording, share: float) -> Severity:
    deficit = learning_deficit(recording)
    if deficit is not None and not isinstance(deficit, NotJudged):
        return "error"
    return "warning" if share >= _NEARLY_ALL else "info"


RULE = Rule(
    code="precision-stalled",
    severity="error",
    title=Text(en="Updates are rounded away", zh="更新被舍入掉"),
    judge=judge,
    needs=(signals.LOSS, signals.STALLED_SHARE),
    consequences=("learning-rate-too-low", "loss-at-chance", "plateau-above-floor"),
)


def broken() -> Recording:
    """Weights in bf16 and a small learning rate: 97 % of them stand still, and the loss with them."""
    series = {(signals.STALLED_SHARE, "0"): every(20, 600, 0.97)}
    return record(flat(), series=series, events=[optimizer()])


def healthy() -> Recording:
    """Weights in bf16 and updates large enough for all but some."""
    series = {(signals.STALLED_SHARE, "0"): every(20, 600, np.linspace(0.02, 0.3, 30))}
    return record(falling(), series=series, events=[optimizer()])
