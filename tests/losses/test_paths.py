"""The way along which a loss is drawn says something: it is smooth and falls towards what is right, under a name."""

import math
from functools import cache
from pathlib import Path

import pytest
import torch

from losscope.losses.catalogue import get, specs
from losscope.losses.paths.choose import paths
from losscope.losses.section import sections, values_only

DRAWN = sorted(name for name, spec in specs().items() if spec.function is not None and spec.arguments)
# The contract says so: its infimum is at the opposite of what it is used for.
AIMS_AT_ITS_SUPREMUM = {"cosine_similarity"}


@cache
def curves(name: str):
    return values_only(get(name), points=61)


def falls(values: torch.Tensor) -> bool:
    reach = float(values.max() - values.min())
    return bool((values.diff() <= 1e-9 * (1 + reach)).all())


@pytest.mark.parametrize("name", DRAWN)
def test_a_loss_never_rises_on_the_way_to_the_perfect_prediction(name: str) -> None:
    """From the uninformed one where there is one, else from both sides.

    Where a part is held constant on purpose, such as weights by rank, the value may jump where all scores are equal.
    """
    jumps = get(name).gradient_kind == "detached"
    for path, x, value in curves(name):
        if path.perfect is None or name in AIMS_AT_ITS_SUPREMUM:
            continue
        begins = (path.low, path.high) if path.uninformed is None else (path.uninformed,)
        for begin in begins:
            low, high = sorted((begin, path.perfect))
            between = value[(x >= low - 1e-9) & (x <= high + 1e-9)]
            way = between if path.perfect > begin else between.flip(0)
            assert falls(way[1:] if jumps else way), (name, path.label, begin)


@pytest.mark.parametrize("name", DRAWN)
def test_a_curve_is_not_noise(name: str) -> None:
    """Between neighbours a line bends little, but for a kink or two; noise bends everywhere by its own size."""
    for path, _, value in curves(name):
        reach = float(value.max() - value.min())
        assert reach > 1e-6, f"{name}: nothing happens along “{path.label}”"
        assert float(value.diff(n=2).abs().quantile(0.9)) < 0.03 * reach, (name, path.label)


def test_noise_would_be_seen() -> None:
    noise = torch.randn(61, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(noise.diff(n=2).abs().quantile(0.9)) > 0.03 * float(noise.max() - noise.min())
    assert not falls(noise)


@pytest.mark.parametrize("name", DRAWN)
def test_no_loss_of_the_catalogue_needs_the_path_of_last_resort(name: str) -> None:
    for path in paths(get(name)):
        assert "ordinary batch" not in path.label
        assert path.low < path.high
        for place in (path.uninformed, path.perfect):
            assert place is None or path.low <= place <= path.high


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("info_nce", torch.log(torch.tensor(16.0))),
        ("dice", 0.5),
        ("cross_entropy", torch.log(torch.tensor(5.0))),
    ],
)
def test_the_uninformed_prediction_costs_what_chance_costs(name: str, level: float) -> None:
    path, x, value = curves(name)[0]
    assert path.uninformed is not None
    at = int((x - path.uninformed).abs().argmin())
    assert float(value[at]) == pytest.approx(float(level), rel=0.03)


def test_negatives_stay_where_they_are() -> None:
    """Along the path of pairs only the diagonal of the matrix of cosines moves."""
    (path,) = paths(get("info_nce"))
    for cosine in (-0.9, 0.2):
        first, second = path.at(torch.tensor(cosine, dtype=torch.float64))
        wanted = cosine * torch.eye(len(first), dtype=torch.float64)
        torch.testing.assert_close(first @ second.T, wanted)
        torch.testing.assert_close(second.norm(dim=1), torch.ones(len(first), dtype=torch.float64))


def test_a_straight_line_has_no_curvature() -> None:
    """The rounding of a straight line is not drawn as if it were one."""
    (found,) = sections(get("uniformity"), points=20)
    assert found.curvature is not None and not found.curvature.any()
    (bent,) = sections(get("info_nce"), points=20)
    assert bent.curvature is not None and float(bent.curvature.max()) > 1


@pytest.mark.parametrize("name", ["info_nce", "ctc"])
def test_the_picture_names_its_axis_and_its_marks(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from losscope.losses.picture import draw

    figure = draw(get(name))
    value, _, curvature = figure.axes
    said = [text.get_text().strip() for text in value.texts]
    assert curvature.get_xlabel().replace("\n", " ") == paths(get(name))[0].label
    assert {"uninformed", "perfect →"} <= set(said)  # a limit beyond the end of the axis
    if name == "info_nce":
        assert any("2.77" in text and "16 candidates" in text for text in said)
    else:
        assert any("twice" in text.get_text() for text in curvature.texts)


def test_a_kink_is_a_corner_of_the_value_and_a_gap_of_the_slope() -> None:
    pytest.importorskip("matplotlib")
    from losscope.losses.picture import broken, cornered, kinks

    (section,) = sections(get("giou"))
    assert float(section.value.min()) > 0.01  # no point lies on the kink
    x, value = cornered(section)
    assert (abs(value.min()), abs(x[value.argmin()])) < (1e-3, 1e-3)
    assert math.isnan(broken(section, section.slope)[1].sum())
    (section,) = sections(get("box_iou"))
    assert [float(section.x[i]) for i in kinks(section)] == pytest.approx([-1, 0, 1], abs=0.02)


@pytest.mark.parametrize("name", ["cross_entropy", "circle", "ctc", "focal", "mse", "dice"])
def test_a_steep_curve_has_no_kinks(name: str) -> None:
    pytest.importorskip("matplotlib")
    from losscope.losses.picture import cornered, kinks

    for section in sections(get(name)):
        assert kinks(section).size == 0
        assert len(cornered(section)[0]) == len(section.x)


def test_marks_stand_where_curves_are_not() -> None:
    pytest.importorskip("matplotlib")
    from losscope.losses.picture import draw

    value = draw(get("cross_entropy")).axes[0]
    chance = next(text for text in value.texts if "chance" in text.get_text())
    assert chance.get_ha() in ("left", "right")
    assert len(draw(get("grpo")).axes[2].get_xlabel().splitlines()) == 2
