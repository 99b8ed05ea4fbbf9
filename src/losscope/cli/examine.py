"""Examine an objective: slope or minimum, how flat, how noisy, what steps are stable."""

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from losscope.cli.progress import deliver, listed, steps_shown, writable
from losscope.cli.seconds import Finite
from losscope.core.errors import BadUsage, LosscopeError
from losscope.core.importing import imported
from losscope.core.text import Language


@click.command(name="examine")
@click.argument("target")
@click.option(
    "--seconds",
    type=Finite(min=0.1),
    default=60.0,
    show_default=True,
    help="About how long it may take.",
)
@click.option("--only", metavar="LOOKS", help="Take only these looks, separated by commas.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    help="Write the result as JSON to FILE; - for stdout.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a page with pictures."
)
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", help="Language of the report.")
def command(
    *, target: str, seconds: float, only: str | None, json_file: Path | None, output: Path | None, lang: str
) -> int:
    """Examine an objective: slope or minimum, how flat, how noisy, what steps are stable.

    TARGET is package.module:function, a function without arguments that returns a losscope.Objective (or the objective
    itself); or the folder of a watched run, whose examination is shown. Exit code 0: examined; 2: the target is no
    objective.

    \b
    losscope examine mypkg.train:objective
    losscope examine mypkg.train:objective --seconds 10 --only state,noise
    losscope examine mypkg.train:objective --json examination.json -o examination.html
    losscope examine .losscope/train-20261123T161147Z

    where mypkg/train.py has

    \b
    def objective():
        return losscope.Objective(model, loss, (inputs, targets))

    With `return losscope.Objective(...), optimizer` the optimiser's learning rates are compared with those that are
    stable.
    """
    language: Language = "zh" if lang == "zh" else "en"
    if output is not None and output.suffix.lower() == ".json":
        raise BadUsage("-o writes an HTML page", seen=str(output), remedy=f"--json {output} writes JSON")
    writable(json_file, output)
    if Path(target).exists() and ":" not in target:
        _not_given("seconds", "only")
        folder, data = _of_run(Path(target))
        summary = _summary(data, language)
        if folder != Path(target):
            summary = f"{folder}\n\n{summary}"
    else:
        from losscope.examination.examine import examine

        with steps_shown(target) as progress:
            objective, optimizer = _objective(target)
            only_these = listed(only)
            found = _called(
                lambda: examine(objective, seconds, optimizer=optimizer, only=only_these, progress=progress),
                target,
            )
        data, summary = found.to_json(language), found.summary(language)
    deliver(data, summary, json_file)
    if output is not None:
        _write_page(output, data, target, language)
    return 0


def _not_given(*names: str) -> None:
    """Options that say how to examine mean nothing for what was examined before."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise BadUsage(
                "the examination of a run was made at its end",
                seen=f"--{name}",
                remedy="losscope run --examine SECONDS SCRIPT, or examine package.module:function",
            )


def _of_run(path: Path) -> tuple[Path, dict[str, Any]]:
    """A run's folder and the examination made at its end. Raises where there is no run, or it was not examined."""
    from losscope.cli.report import run_folder
    from losscope.recording.examination_file import read_examination
    from losscope.recording.reader import Recording

    folder = run_folder(str(path))
    Recording.open(folder)
    found = read_examination(folder)
    remedy = "losscope run --examine 10 SCRIPT examines at the end of a run; recordings hold no weights to do it later"
    if found is None:
        raise BadUsage("this run was not examined", seen=str(folder), remedy=remedy)
    if found.get("examined") is False:
        why = found.get("why")
        raise BadUsage(
            "this run could not be examined",
            seen=str(why.get("en", "")) if isinstance(why, dict) else "",
            remedy="examine an objective of your own: losscope examine package.module:function",
        )
    return folder, found


def _summary(data: Mapping[str, Any], language: Language) -> str:
    """The texts of an examination that was read from a file."""
    words = data.get("words", {}).get(language, {})
    said = [line.get(language, "") for line in data.get("objective", [])]
    lines = [words.get("sentence", ""), "", *said, ""]
    looks = [fact.get("look") for fact in data.get("facts", [])]
    for place, (look, text) in enumerate(zip(looks, words.get("facts", []), strict=False)):
        if not place or looks[place - 1] != look:
            lines.append(words.get("titles", {}).get(look, look))
        lines.append(f"  {text}")
    lines += [f"? {text}" for text in words.get("left_out", [])]
    return "\n".join([*lines, "", f"{data.get('seconds', 0):.1f} s"])


def _write_page(output: Path, data: Mapping[str, Any], target: str, language: Language) -> None:
    from losscope.report.page.examination import examination_page

    try:
        output.write_text(examination_page(data, target, language), encoding="utf-8")
    except OSError as error:
        raise BadUsage("the page cannot be written", seen=f"{output}: {error.strerror}") from error


def _objective(target: str) -> tuple[Any, Any]:
    """What the target names, called if it is a function: an objective, and perhaps the optimiser that trains it."""
    from losscope.objective.objective import Objective

    found = imported(target, "name it as package.module:function, which returns a losscope.Objective")
    if not isinstance(found, Objective) and callable(found):
        found = _called(found, target)
    optimizer = None
    if isinstance(found, tuple) and len(found) == 2:
        found, optimizer = found
    if not isinstance(found, Objective):
        raise BadUsage(
            "the target gives no objective",
            seen=type(found).__name__,
            remedy="let it return losscope.Objective(model, loss, data), or that and the optimiser",
        )
    return found, optimizer


def _called(function: Callable[[], Any], target: str) -> Any:
    """The user's function; what it raises is shown as python shows it, without our frames."""
    try:
        return function()
    except LosscopeError:
        raise
    except Exception as error:  # noqa: BLE001  the user's own, whatever it is
        traceback.print_exception(type(error), error, error.__traceback__ and error.__traceback__.tb_next)
        raise BadUsage(f"{target} raised {type(error).__name__}", remedy="see the traceback above") from None
