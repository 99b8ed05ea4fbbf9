"""Examine an objective: slope or minimum, how flat, how noisy, what steps are stable."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from losscope.cli.progress import deliver, listed, steps_shown
from losscope.cli.seconds import Finite
from losscope.core.errors import BadUsage, LosscopeError
from losscope.core.importing import imported


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
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", help="Language of the report.")
def command(*, target: str, seconds: float, only: str | None, json_file: Path | None, lang: str) -> int:
    """Examine an objective: slope or minimum, how flat, how noisy, what steps are stable.

    TARGET is package.module:function, a function without arguments that returns a losscope.Objective (or the objective
    itself). Exit code 0: examined; 2: the target is no objective.

    \b
    losscope examine mypkg.train:objective
    losscope examine mypkg.train:objective --seconds 10 --only state,noise
    losscope examine mypkg.train:objective --json examination.json

    where mypkg/train.py has

    \b
    def objective():
        return losscope.Objective(model, loss, (inputs, targets))
    """
    from losscope.examination.examine import examine

    language = "zh" if lang == "zh" else "en"
    with steps_shown(target) as progress:
        objective = _objective(target)
        found = _called(lambda: examine(objective, seconds, only=listed(only), progress=progress), target)
    deliver(found.to_json(language), found.summary(language), json_file)
    return 0


def _objective(target: str) -> Any:
    """What the target names, called if it is a function."""
    from losscope.objective.objective import Objective

    found = imported(target, "name it as package.module:function, which returns a losscope.Objective")
    if not isinstance(found, Objective) and callable(found):
        found = _called(found, target)
    if not isinstance(found, Objective):
        raise BadUsage(
            "the target gives no objective",
            seen=type(found).__name__,
            remedy="let it return losscope.Objective(model, loss, data)",
        )
    return found


def _called(function: Callable[[], Any], target: str) -> Any:
    """The user's function; what it raises is shown as python shows it, without our frames."""
    try:
        return function()
    except LosscopeError:
        raise
    except Exception as error:  # noqa: BLE001  the user's own, whatever it is
        traceback.print_exception(type(error), error, error.__traceback__ and error.__traceback__.tb_next)
        raise BadUsage(f"{target} raised {type(error).__name__}", remedy="see the traceback above") from None
