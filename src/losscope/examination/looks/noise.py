"""How noisy stochastic gradients are, and whether the mean gradient is more than the noise of the sample.

With tr C the total variance of per-sample gradients and N samples, a gradient that were 0 for the distribution would
have an expected squared norm of tr C / N on these data. The ratio N‖∇L‖² / tr C is then about 1; where it is far above
1 the data still agree on a direction. B = tr C / ‖∇L‖² is the simple noise scale, the batch size at which noise and
gradient are of one size (McCandlish et al., 2018, arXiv:1812.06162); beyond it larger batches save few steps.
"""

from collections.abc import Iterator

from losscope.core.estimate import Estimate
from losscope.core.text import Text
from losscope.examination.look import Fact, Look
from losscope.examination.place import Place

_AGREE = (
    2.0  # twice what pure noise gives: its ratio is 1, with a spread of √(2/k) for k directions that matter
)

_GRADIENT = Text(en="the gradient has norm {norm:.4g}", zh="梯度范数为 {norm:.4g}")
_SCALE = Text(
    en="noise scale {batch:,.0f} samples: below that batch size noise dominates a step, far above it larger batches "
    "save few steps",
    zh="噪声尺度为 {batch:,.0f} 个样本：批大小低于此值时一步由噪声主导，远高于此值时增大批次收益很小",
)
_WITHIN = Text(
    en="the gradient is hardly longer than chance alone makes it on {samples:,} samples (its square is {ratio:.2g} "
    "times that of pure noise): these data do not say where to go, another sample would point elsewhere",
    zh="在 {samples:,} 个样本上，梯度几乎不比偶然产生的更长（其平方为纯噪声的 {ratio:.2g} 倍）：这些数据没有指明方向，"
    "换一批样本方向就会不同",
)


def _run(place: Place) -> Iterator[Fact]:
    norm = float(place.gradient.norm())
    yield Fact(name="gradient-norm", text=_GRADIENT(norm=norm), value=Estimate(norm))
    samples = place.objective.samples
    if samples < 2:
        return
    noise = place.noise
    if not noise.value or not norm:
        return
    batch = noise.scaled(1 / norm**2)
    ratio = samples / batch.value
    yield Fact(
        name="noise-scale",
        text=_SCALE(batch=batch.value),
        value=batch,
        figures={"trace of covariance": noise.value, "stderr": noise.stderr, "gradient to noise": ratio},
    )
    if ratio < _AGREE:
        yield Fact(
            name="within-noise",
            text=_WITHIN(ratio=ratio, samples=samples),
            value=Estimate(ratio),
            decides=True,
        )


LOOK = Look(name="noise", title=Text(en="gradient and noise", zh="梯度与噪声"), rank=1, cost=2, run=_run)
