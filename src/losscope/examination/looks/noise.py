"""How noisy stochastic gradients are, and whether the mean gradient is more than the noise of the sample.

With tr C the total variance of per-sample gradients and N samples, a gradient that were 0 for the distribution would
have an expected squared norm of tr C / N on these data. The ratio N‖∇L‖² / tr C is then about 1; where it is far above
1 the data still agree on a direction. B = tr C / ‖ḡ‖² is the simple noise scale, the batch size at which noise and
gradient are of one size (McCandlish et al., 2018, arXiv:1812.06162); beyond it larger batches save few steps. ‖ḡ‖² is
‖∇L‖² less tr C / N, which the N samples add to it by their own noise; errors are by the jackknife. Where batch
normalisation takes its statistics from the batch no sample has a gradient of its own: the noise is that of three or
more batches, or left out. Where the gradient is rounding neither ratio means anything, and both are left out.
"""

import math
from collections.abc import Iterator

from losscope.core.estimate import Estimate
from losscope.core.text import Message, Text
from losscope.estimators.noise.gradient_noise_scale import NoiseScale
from losscope.examination.look import Fact, Look
from losscope.examination.numbers import count, with_error
from losscope.examination.place import Place

_AGREE = (
    2.0  # twice what pure noise gives: its ratio is 1, with a spread of √(2/k) for k directions that matter
)
_LEAST = 3  # samples

_GRADIENT = Text(en="the gradient has norm {norm:.4g}", zh="梯度范数为 {norm:.4g}")
_ROUNDING = Text(
    en="the gradient is 0 to rounding: its norm of {norm:.1g} is what rounding leaves where its terms cancel (up to "
    "{rounding:.1g})",
    zh="梯度在舍入误差内为 0：其范数 {norm:.1g} 是各项抵消后的舍入误差（可达 {rounding:.1g}）",
)
_SCALE = Text(
    en="noise scale {batch} {units}: below that batch size noise dominates a step, far above it larger batches "
    "save few steps",
    zh="噪声尺度为 {batch} 个{units}：批大小低于此值时一步由噪声主导，远高于此值时增大批次收益很小",
)
_BEYOND = Text(
    en="noise scale not known: on {samples} {units} the gradient is not told from noise, and batches of any size up to "
    "that are noisy",
    zh="噪声尺度未知：在 {samples} 个{units}上无法区分梯度与噪声，不超过此数的批次均由噪声主导",
)
_WITHIN = Text(
    en="the gradient is hardly longer than chance alone makes it on {samples} {units} (its square is {ratio:.2g} "
    "times that of pure noise): these data do not say where to go, another sample would point elsewhere",
    zh="在 {samples} 个{units}上，梯度几乎不比偶然产生的更长（其平方为纯噪声的 {ratio:.2g} 倍）：这些数据没有指明方向，"
    "换一批样本方向就会不同",
)
_ROWS = Text(
    en="noise is that of rows of the predictions (targets, tokens), {each} in a sample, taken for independent: a batch "
    "of B samples has {each}·B of them, and is noisier than that where the rows of a sample resemble each other",
    zh="此处的噪声以预测的行（目标、词元）为单位，每个样本有 {each} 行，并视为相互独立：B 个样本的批含 {each}·B 行；"
    "若同一样本的各行彼此相似，实际噪声更大",
)
_UNITS = {True: Text(en="samples", zh="样本"), False: Text(en="rows of the predictions", zh="预测行")}


def units(found: NoiseScale) -> Message:
    """What a noise scale counts."""
    return _UNITS[found.each == 1]()


def _run(place: Place) -> Iterator[Fact]:
    norm = float(place.gradient.norm())
    samples = place.objective.samples
    many = samples >= _LEAST
    text = _GRADIENT(norm=norm)
    if norm and norm <= place.rounding:
        text, many = _ROUNDING(norm=norm, rounding=place.rounding), False
    yield Fact(name="gradient-norm", text=text, value=Estimate(norm))
    if not many or not norm:
        return
    found = place.noise
    if found.noise.value <= 0:
        return
    ratio = found.count * norm**2 / found.noise.value
    yield _scale(found, found.count, ratio)
    if found.each != 1:
        yield Fact(name="noise-of-rows", text=_ROWS(each=f"{found.each:g}"), value=Estimate(found.each))
    if ratio < _AGREE:
        yield Fact(
            name="within-noise",
            text=_WITHIN(ratio=ratio, samples=count(found.count), units=units(found)),
            value=Estimate(ratio),
            decides=True,
        )


def _scale(found: NoiseScale, samples: int, ratio: float) -> Fact:
    scale = found.scale
    known = math.isfinite(scale.value) and math.isfinite(scale.stderr)
    text = _BEYOND(samples=count(samples), units=units(found))
    if known:
        near = with_error(scale.value, scale.stderr, 3)
        if max(scale.value, scale.stderr) >= 10:
            near = f"{count(scale.value)} ± {count(scale.stderr)}"
        text = _SCALE(batch=near, units=units(found))
    return Fact(
        name="noise-scale",
        text=text,
        value=scale if known else None,
        figures={
            "trace of covariance": found.noise.value,
            "stderr": found.noise.stderr,
            "gradient to noise": ratio,
            "parts": found.parts,
        },
    )


LOOK = Look(name="noise", title=Text(en="gradient and noise", zh="梯度与噪声"), rank=1, cost=5, run=_run)
