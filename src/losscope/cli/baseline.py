"""Write down the findings of runs as known, so that only new ones stop a pipeline."""

import json
from pathlib import Path

import click

from losscope.core.errors import BadUsage

NAME = "losscope-baseline.json"


@click.command("baseline")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=NAME,
    show_default=True,
    metavar="FILE",
    help="Write to FILE.",
)
def command(runs: tuple[str, ...], output: Path) -> None:
    """Write down the findings of runs as known, so that only new ones stop a pipeline.

    RUN is a run folder or a file inside it; left out, it is the latest run below .losscope. With
    "losscope run --baseline FILE --fail-on error" the errors and warnings of FILE do not count. A finding is known by
    its code and its file, not by its line.

    \b
    losscope baseline
    losscope baseline runs/small runs/large -o ci/losscope.json
    """
    from losscope.cli.report import run_folder
    from losscope.core.baseline import document
    from losscope.core.files import write_atomically

    verdicts = []
    for run in runs or ("",):
        file = run_folder(run) / "verdict.json"
        try:
            verdicts.append(json.loads(file.read_text(encoding="utf-8")))
        except OSError as error:
            raise BadUsage(
                "this run has no verdict", seen=f"{file}: {error.strerror}", remedy="let it end first"
            ) from None
        except ValueError:
            raise BadUsage("this is no verdict", seen=str(file)) from None
    found = document(verdicts, output.absolute().parent)
    try:
        write_atomically(output, json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    except OSError as error:
        raise BadUsage("the baseline cannot be written", seen=f"{output}: {error.strerror}") from None
    count = len(found["findings"])
    click.echo(f"{output}: {count} known finding{'' if count == 1 else 's'}")
