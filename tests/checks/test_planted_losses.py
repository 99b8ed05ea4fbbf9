"""Losses as repositories write them, right and wrong: what an audit must say of each, and must not say.

The gate looks at a few of every table, with the checks that matter; ``make thorough`` at all, with all checks.
"""

from collections.abc import Collection

import pytest
import zoo_of_classes
import zoo_of_pairs
import zoo_of_values
import zoo_unseen
from planted_losses import Planted

import losscope
from losscope.checks.audit import Audit

TABLES = [*zoo_of_classes.ENTRIES, *zoo_of_values.ENTRIES, *zoo_of_pairs.ENTRIES, *zoo_unseen.ENTRIES]
QUICK = {
    *("bce_of_probs_clamped", "weighted_ce_broadcast", "seg_ce_in_place"),
    *(
        "ce_mean_over_padding",
        "label_smoothed_nll",
        "JsdCrossEntropy",
        "labels_from_one",
        "dice_without_smooth",
    ),
    *(
        "dice_of_argmax",
        "charbonnier",
        "huber_detached",
        "gaussian_nll_wrong_sign",
        "kl_with_plus",
        "kl_standard_normal",
    ),
    *(
        "kd_without_log",
        "kd_with_live_teacher",
        "kd_mean_of_elements",
        "nt_xent_times_temperature",
        "triplet",
    ),
    *(
        "nt_xent_unmasked",
        "supcon_self_positive",
        "supcon",
        "dpo_swapped",
        "dpo",
        "bpr_swapped",
        "ppo_clip_ratio",
    ),
    *("ppo_clip_without_minus", "CoxOfTheDead", "CoxPartialLikelihood", "iou_loss_unclamped"),
}
HEAVY = {"compile", "calibrated", "proper", "strictly-proper", "elicits", "memory-growth", "torch-func"}


def audited(planted: Planted, only: Collection[str] = (), skip: Collection[str] = ()) -> Audit:
    return losscope.audit(planted.loss, only=only, skip=skip, seconds=240.0, isolate=False)


def check(planted: Planted, found: Audit) -> None:
    bugs, conventions = {e.check for e in found.bugs}, {e.check for e in found.conventions}
    if planted.bugs:
        assert bugs & planted.bugs, found
    else:
        assert bugs <= planted.tolerated, found
    assert not planted.conventions or planted.conventions & conventions, found
    assert planted.task in ("", found.task)
    said = {name: has for name, has in found.properties.items() if name in planted.properties}
    assert said == {name: has for name, has in planted.properties.items() if name in said}


@pytest.mark.parametrize("planted", [p for p in TABLES if p.name in QUICK], ids=lambda p: p.name)
def test_in_short(planted: Planted) -> None:
    only = {*planted.bugs, *planted.conventions, *planted.properties} or {
        *("perfect", "descent", "ignored", "mutation", "weights", "spread", "self-similarity", "temperature")
    }
    check(planted, audited(planted, only=only))


@pytest.mark.thorough
@pytest.mark.parametrize("planted", TABLES, ids=lambda p: p.name)
def test_in_full(planted: Planted) -> None:
    check(planted, audited(planted, skip=HEAVY - planted.bugs))


def test_the_tables_are_large_and_hold_both() -> None:
    assert sum(bool(p.bugs) for p in TABLES) >= 40
    assert sum(not p.bugs for p in TABLES) >= 40
    names = [p.name for p in TABLES]
    assert len(set(names)) == len(names)
    assert set(names) >= QUICK
