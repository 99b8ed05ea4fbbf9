"""``vanishing-gradient``: the gradient dies on its way to the first layers, and the model does not learn.

**What it says.** Either the gradient of all parameters is zero or has collapsed, or it shrinks from layer to
layer so much that the first layers stand still.

**Statistic.** Only where the run is not learning (at chance, or not falling where chance is unknown). *Profile*:
the median of ‖g‖/‖θ‖ in the first quarter of the layers is below 1/1000 of that in the last quarter, with a rank
correlation with depth of at least 0.6. *Collapse*: over the last half of the samples the total gradient norm is
0 or below 10⁻⁶ of its largest value. Both are free of scale.

**Source.** Hochreiter (1991); Bengio et al. (1994), doi:10.1109/72.279181; Glorot and Bengio (2010). The logistic
function's derivative is at most 1/4, hence 4⁵ ≈ 1000 for five layers.

**Example.** Ten fully connected layers with sigmoids: 10⁻⁷ at the first, 10⁻² at the last.

**Remedy.** ReLU-like activations with He initialisation, residual connections or normalisation layers.

**False alarms.** Silent on every run that learns, however uneven its layers (embeddings, biases, frozen parts).
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.deficit import learning_deficit
from losscope.rules.layer_profile import FACTOR, MONOTONE, layer_profile, silent_inputs
from losscope.rules.planted import every, falling, flat, layers, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import main_stream, values

_COLLAPSED = 1e-6
_TITLE_PROFILE = Text(
    en="The gradient vanishes on its way to {first}: {factor:.1g} times the last layer's",
    zh="梯度在传到 {first} 之前消失：只有最后一层的 {factor:.1g} 倍",
)
_TITLE_ZERO = Text(
    en="The gradient has vanished: its norm over all parameters is {norm:.2g}",
    zh="梯度已消失：全部参数的梯度范数为 {norm:.2g}",
)
_PROFILE = Text(
    en="‖g‖/‖θ‖ is {first:.2g} at {first_name} and {last:.2g} at {last_name}",
    zh="‖g‖/‖θ‖ 在 {first_name} 为 {first:.2g}，在 {last_name} 为 {last:.2g}",
)
_ZERO = Text(
    en="median gradient norm over the last half: {norm:.2g}, at most {most:.2g} during the run",
    zh="后半程梯度范数的中位数为 {norm:.2g}，全程最大为 {most:.2g}",
)
_EXPECTED = Text(
    en="first and last layers within a factor of {factor:.0f}", zh="首尾各层相差不超过 {factor:.0f} 倍"
)
_EXPECTED_NORM = Text(en="a norm above 0 while the loss is high", zh="损失仍高时，范数应大于 0")
_REMEDY = Text(
    en="Use ReLU or GELU in place of sigmoid and tanh, nn.init.kaiming_normal_ for the weights, and residual "
    "connections or nn.LayerNorm between the layers.",
    zh="用 ReLU 或 GELU 代替 sigmoid 和 tanh，用 nn.init.kaiming_normal_ 初始化权重，"
    "并在层间加入残差连接或 nn.LayerNorm。",
)


def judge(recording: Recording) -> Outcome:
    deficit = learning_deficit(recording)
    if isinstance(deficit, NotJudged):
        return deficit
    if deficit not in {"at-chance", "no-fall"}:
        return []
    stream = main_stream(recording) or "0"
    norms = values(recording, signals.GRADIENT_NORM, stream)
    if norms.size >= 3:
        norm, most = float(np.median(norms[norms.size // 2 :])), float(norms.max())
        if norm <= _COLLAPSED * most:
            evidence = Evidence(
                text=_ZERO(norm=norm, most=most),
                signal=signals.GRADIENT_NORM.name,
                label=stream,
                value=norm,
                expected=_EXPECTED_NORM(),
            )
            title = _TITLE_ZERO(norm=norm)
            return [RULE.finding(title=title, confidence=0.85, evidence=(evidence,), remedy=_REMEDY())]
    return _profile(recording, stream)


def _profile(recording: Recording, stream: str) -> Outcome:
    profile = layer_profile(recording, stream)
    if profile is None or not profile.first_over_last < 1 / FACTOR or profile.rank_correlation < MONOTONE:
        return []
    if profile.names[0] in silent_inputs(recording, stream):  # its gradient arrives: the bias has it
        return []
    first, last = float(profile.relative[0]), float(profile.relative[-1])
    evidence = Evidence(
        text=_PROFILE(first=first, first_name=profile.names[0], last=last, last_name=profile.names[-1]),
        signal=signals.GRADIENT_NORM_PARAMETER.name,
        label=profile.names[0],
        value=profile.first_over_last,
        expected=_EXPECTED(factor=FACTOR),
    )
    title = _TITLE_PROFILE(first=profile.names[0], factor=profile.first_over_last)
    return [RULE.finding(title=title, confidence=0.9, evidence=(evidence,), remedy=_REMEDY())]


RULE = Rule(
    code="vanishing-gradient",
    severity="error",
    title=Text(en="The gradient vanishes", zh="梯度消失"),
    judge=judge,
    needs=(signals.LOSS, signals.GRADIENT_NORM),
    consequences=("learning-rate-too-low", "loss-at-chance", "plateau-above-floor"),
)


def broken() -> Recording:
    """Six layers of sigmoids: every layer loses a factor of ten, and the loss stays at chance."""
    return record(flat(), series=layers(600, [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2]))


def healthy() -> Recording:
    """The same uneven gradients in a model that learns: a small first layer is no fault by itself."""
    series = layers(600, [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2])
    series[signals.GRADIENT_NORM, "0"] = every(20, 600, np.geomspace(1.0, 0.01, 30))
    return record(falling(), series=series)
