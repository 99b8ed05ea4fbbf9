"""The loss in the facts of a report: the levels that the sentence says and the last batch, each under its name."""

import dataclasses

import pytest
from fabricated_runs import make_run

from losscope.core.verdict import Level, Training
from losscope.report.format import formats
from losscope.report.view import losses_told

PLAIN = Training(
    status="falling", steps=720, first_loss=2.31, last_loss=1.49, validation=None, overhead=0.0, seconds=9.0
)
LEVELLED = dataclasses.replace(PLAIN, level=Level(first=2.3, last=1.51, window=36))


def test_each_number_is_under_its_name() -> None:
    assert losses_told(LEVELLED, "en") == "2.3 → 1.51 (mean of the last 36 updates; last batch 1.49)"
    assert losses_told(LEVELLED, "zh") == "2.3 → 1.51（最后 36 次更新的平均；最后一批 1.49）"


def test_a_mean_of_one_update_is_that_update() -> None:
    short = dataclasses.replace(PLAIN, level=Level(first=2.31, last=1.49, window=1))
    assert losses_told(short, "en") == losses_told(PLAIN, "en") == "2.31 → 1.49"


@pytest.mark.parametrize("name", ["terminal", "markdown", "html"])
def test_every_format_tells_both(name: str) -> None:
    run = make_run(training=LEVELLED)
    told = " ".join(formats()[name].render(run.verdict, run.recording, "en").split())
    assert "2.3 → 1.51 (mean of the last 36 updates; last batch 1.49)" in told
