"""``losscope losses``: its filters, what a wrong name is told, what the shell completes, how docstrings are shown."""

import json

import click
import pytest
import torch
import torch.nn.functional as F

import losscope
from losscope.cli import docstring, names
from losscope.cli.audit import command as audit
from losscope.cli.losses import command as losses
from losscope.cli.main import main
from losscope.core.errors import BadUsage
from losscope.losses.catalogue import specs
from losscope.losses.taking import groups, taking, tasks_of
from losscope.losses.tasks import TASKS


def listed(capsys: pytest.CaptureFixture, *words: str) -> list[str]:
    assert main(["losses", *words, "--json"]) == 0
    return [spec["name"] for spec in json.loads(capsys.readouterr().out)]


def test_a_family_is_all_and_only_its_losses(capsys: pytest.CaptureFixture) -> None:
    wanted = [name for name, spec in specs().items() if spec.family == "segmentation"]
    assert listed(capsys, "--family", "segmentation") == wanted
    assert listed(capsys, "--family", "Large-Output") == ["linear_cross_entropy"]


def test_a_task_is_what_the_losses_take(capsys: pytest.CaptureFixture) -> None:
    found = listed(capsys, "--task", "contrastive")
    assert {"info_nce", "clip"} <= set(found) and "triplet_margin" not in found
    assert listed(capsys, "--task", "triplet") == ["triplet_margin"]
    assert {"info_nce", "triplet_margin"} <= set(listed(capsys, "--task", "embedding"))  # a group of tasks
    both = listed(capsys, "--family", "ranking", "--task", "embedding")
    assert both and all(specs()[name].family == "ranking" for name in both)


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        *(("CrossEntropyLoss", "cross_entropy"), ("torch.nn.functional.mse_loss", "mse")),
        ("BCE", "binary_cross_entropy"),
        *(("dice_loss", "dice"), ("losscope.losses.CoxLoss", "cox"), ("MAE", "l1"), ("wgan-gp", "gradient_penalty")),
        *(("Focal Loss", "focal"), ("KLDivLoss", "kl_div"), ("InfoNCE", "info_nce"), ("coral", "coral")),
    ],
)  # fmt: skip
def test_a_loss_goes_by_all_of_its_names(spelled: str, name: str) -> None:
    assert losscope.losses.get(spelled).name == name


def test_no_loss_takes_another_ones_name() -> None:
    """Other names resolve to their own loss, so none is given to two of them, and none hides a loss."""
    for name, spec in specs().items():
        assert losscope.losses.get(name) is spec
        for other in (
            *spec.also,
            spec.function and spec.function.__name__,
            spec.module and spec.module.__name__,
        ):
            assert not other or losscope.losses.get(other) is spec, other


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("crosentropy", "cross_entropy"), ("hubert", "huber"), ("entropie", "entropy"), ("ndcg", "approx_ndcg")],
)
def test_a_wrong_name_is_told_the_nearest(wrong: str, meant: str) -> None:
    with pytest.raises(BadUsage, match=rf"did you mean .*\b{meant}\b"):
        losscope.losses.get(wrong)
    with pytest.raises(BadUsage, match="lists every loss"):
        losscope.losses.get("xyzzyplugh")


@pytest.mark.parametrize("wrong", [3, None, ["mse"], torch.nn.functional.mse_loss])
def test_what_is_no_name_is_told_in_one_line(wrong: object) -> None:
    with pytest.raises(BadUsage, match="named by a text"):
        losscope.losses.get(wrong)  # type: ignore[arg-type]


def test_a_notebook_shows_what_the_command_tells() -> None:
    shown = losscope.losses.get("cross_entropy")._repr_html_()
    for text in ("<b>cross_entropy</b>", "0.500288 with label_smoothing=0.1", "log loss", "[0, ∞)"):
        assert text in shown
    assert "<script" not in losscope.losses.get("kl_div")._repr_html_()


def test_without_filters_the_whole_catalogue_is_listed(capsys: pytest.CaptureFixture) -> None:
    assert listed(capsys) == list(specs())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["losses", "--family", "vision"], "adversarial, classification, contrastive"),
        (["losses", "--task", "embeding"], "did you mean embedding"),
        (["losses", "dice", "--family", "detection"], "losscope losses dice, without them"),
        (["audit", "torch.nn:L1Loss", "--task", "regresion"], "did you mean regression"),
        (["audit", "torch.nn:CTCLoss", "--task", "one-hot"], "does not take the inputs of the task"),
        (["audit", "torch.nn:CTCLoss", "--task", "embedding"], "any task of the group embedding"),
        (["audit", "torch.nn:L1Loss", "--task", "physics"], "no task that can be audited is in this group"),
        (["audit", "torch.nn:L1Loss", "--only", "gradiant"], "did you mean gradient"),
        (["audit", "torch.nn:L1Loss", "--only", "range", "--skip", "range"], "no check is left to run"),
        *(
            (
                [*command, option, number],
                ("--budget" if command == ["run"] else "finite" if number in ("nan", "inf") else "range"),
            )
            for command, option in (
                (["audit", "torch.nn:L1Loss"], "--seconds"),
                (["examine", "a:b"], "--seconds"),
                (["run"], "--budget"),
            )
            for number in ("nan", "inf", "-1")
        ),
    ],
)
def test_a_wrong_name_is_told_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_both_commands_have_the_same_tasks(capsys: pytest.CaptureFixture) -> None:
    assert main(["audit", "--list"]) == 0
    told = capsys.readouterr().out
    for name in {task for tasks in groups().values() for task in tasks}:
        assert f"\n  {name} " in told
        assert names.task(name) == name
        assert taking(specs().values(), name)
    assert set(tasks_of(specs()["binary_cross_entropy_with_logits"])) == {
        "binary"
    }  # its targets may be shares


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--task", "one-hot"], "losscope audit TARGET --task one-hot tests yours"),
        (["--family", "detection", "--task", "contrastive"], "losscope losses --task contrastive"),
    ],
)
def test_an_empty_list_is_an_answer(words: list[str], said: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["losses", *words]) == 0
    told = capsys.readouterr()
    assert told.out == "" and said in told.err and told.err.count("\n") == 1
    assert listed(capsys, *words) == []


def test_a_group_is_one_of_its_tasks() -> None:
    def loss(anchor: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
        return 2 * F.triplet_margin_loss(anchor, positive, negative)

    found = losscope.audit(loss, task="embedding", only=["mutation"], isolate=False)
    assert found.task == "triplet"


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_the_time_limit_of_an_audit_is_a_number(seconds: float) -> None:
    with pytest.raises(BadUsage, match="no number of seconds above 0"):
        losscope.audit(torch.nn.L1Loss(), seconds=seconds)


def completed(command: click.Command, option: str, begun: str) -> set[str]:
    parameter = next(p for p in command.params if p.name == option)
    context = click.Context(command)
    return {item.value for item in parameter.type.shell_complete(context, parameter, begun)}


def test_the_shell_completes_names() -> None:
    assert completed(losses, "family", "d") == {"detection", "distillation", "distribution"}
    assert completed(losses, "name", "info") == {"info_nce"}
    assert completed(losses, "task", "embed") == {"embedding"}
    assert completed(audit, "task", "embed") == {"embedding"}
    assert completed(audit, "task", "") == completed(losses, "task", "") == {*TASKS, *groups()}
    assert completed(audit, "only", "grad") == {"gradient"}
    assert completed(audit, "skip", "range,grad") == {"range,gradient"}


def test_the_help_shows_how_to_filter(capsys: pytest.CaptureFixture) -> None:
    main(["losses", "--help"])
    told = capsys.readouterr().out
    assert "losscope losses --family segmentation" in told and "--task TASK" in told


def test_markup_is_text_or_bold(monkeypatch: pytest.MonkeyPatch) -> None:
    written = "**Law.** See :func:`change` and ``x - y``."
    assert docstring.plain(written) == "Law. See change and `x - y`."
    monkeypatch.setattr(docstring, "wants_colour", lambda stream: True)
    assert docstring.plain(written) == "\033[1mLaw.\033[0m See change and `x - y`."


@pytest.mark.parametrize("words", [["explain", "still-falling"], ["losses", "info_nce"], ["losses", "ctc"]])
def test_no_markup_is_left_on_the_terminal(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(words) == 0
    told = capsys.readouterr().out
    assert not [mark for mark in ("**", "``", ":func:", ":mod:") if mark in told]
