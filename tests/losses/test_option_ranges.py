"""Options outside of their range are refused by name, in functions and modules, and those at its edge are taken."""

import pytest
import torch

from losscope.core.errors import BadUsage
from losscope.losses.arguments import draw_case
from losscope.losses.catalogue import get
from losscope.losses.spec import needed_options

NAN = float("nan")
REFUSED = [
    *(("info_nce", "temperature", v) for v in (0.0, -0.1, NAN)),
    *((name, "temperature", 0.0) for name in ("clip", "nt_xent", "sup_con", "knowledge_distillation")),
    *((name, "beta", 0.0) for name in ("dpo", "ipo", "simpo", "kto")),
    *(("dpo", "label_smoothing", v) for v in (-0.1, 1.1)),
    *((name, "c", 0.0) for name in ("cauchy", "welsch", "tukey", "general_robust")),
    *(("generalised_cross_entropy", "q", v) for v in (0.0, 1.5)),
    *((name, "gamma", -1.0) for name in ("focal", "sigmoid_focal", "focal_tversky")),
    *((name, "smooth", -1.0) for name in ("dice", "iou", "tversky", "multiclass_dice")),
    *((name, "clip", -0.1) for name in ("ppo_clip", "grpo", "clipped_value")),
    *(("student_t_nll", "df", 0.0), ("detection_sum", "box_base", 0.0), ("ssim", "sigma", 0.0)),
]
TAKEN = [
    *(
        ("focal", "gamma", 0.0),
        ("dice", "smooth", 0.0),
        ("dpo", "label_smoothing", 0.0),
        ("ppo_clip", "clip", 0.0),
    ),
    ("generalised_cross_entropy", "q", 1.0),
    ("info_nce", "temperature", torch.tensor(0.1, dtype=torch.float64)),
]


def call(name: str, **options: object) -> torch.Tensor:
    spec = get(name)
    assert spec.function is not None
    case = draw_case(spec.arguments, 0, spec.lengths)
    return spec.function(*case, **{**needed_options(spec), **options})


@pytest.mark.parametrize(("name", "option", "value"), REFUSED)
def test_an_option_out_of_range_is_refused_by_name(name: str, option: str, value: float) -> None:
    with pytest.raises(BadUsage, match=rf"{option} (is|lies) .*{option}="):
        call(name, **{option: value})


@pytest.mark.parametrize(("name", "option", "value"), TAKEN)
def test_an_option_at_the_edge_is_taken(name: str, option: str, value: float) -> None:
    assert torch.isfinite(call(name, **{option: value}))
