"""The length of the parameters in the geometry of the function: the Fisher-Rao norm √(θᵀFθ).

It is the root mean square of ⟨∂ℓ/∂f, Jθ⟩, how fast the loss of a sample changes if all weights grow in proportion. Two
sets of weights of the same function that differ by a rescaling of ReLU units have the same (Liang et al., 2019,
arXiv:1711.01530), unlike ‖θ‖, the trace or the largest eigenvalue of the Hessian.
"""

from collections.abc import Iterator

from losscope.core.text import Text
from losscope.estimators.flatness.fisher_rao import fisher_rao_norm
from losscope.examination.look import Fact, Look
from losscope.examination.place import Place

_NORM = Text(
    en="Fisher-Rao norm {norm:.4g}: by so much the losses of single samples change, in root mean square, for each "
    "part by which all weights grow",
    zh="Fisher-Rao 范数 {norm:.4g}：所有权重按比例增大时，各样本损失变化率的均方根",
)


def _run(place: Place) -> Iterator[Fact]:
    square = fisher_rao_norm(place.objective)
    norm = square.value**0.5
    yield Fact(name="fisher-rao-norm", text=_NORM(norm=norm), value=square, figures={"norm": norm})


LOOK = Look(
    name="fisher-rao",
    title=Text(en="length in the geometry of the function", zh="函数几何中的长度"),
    rank=5,
    cost=4,
    run=_run,
)
