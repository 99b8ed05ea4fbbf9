"""Judge a recorded run again and show the verdict: terminal, HTML, JSON or Markdown."""

import sys
from pathlib import Path
from typing import TextIO

import click

from losscope.core.errors import BadUsage, NotARun
from losscope.core.registry import module_names
from losscope.core.text import LANGUAGES, Language

RUNS = ".losscope"
_FORMATS = "losscope.report.formats"


def format_choices() -> list[str]:
    """Names of the formats: their files, so that help needs none of them loaded."""
    return [name.rpartition(".")[2] for name in module_names(_FORMATS)]


@click.command("report")
@click.argument("run", required=False, default="")
@click.option(
    "--format",
    "chosen",
    type=click.Choice(format_choices()),
    default="terminal",
    show_default=True,
    help="How to show the verdict.",
)
@click.option("-o", "--output", default="-", metavar="FILE", help="Write to FILE instead of standard output.")
@click.option(
    "--lang",
    "language",
    type=click.Choice(LANGUAGES),
    envvar="LOSSCOPE_LANG",
    default="en",
    show_default=True,
    help="Language of the words.",
)
def command(run: str, chosen: str, output: str, language: Language) -> None:
    """Judge the recording of RUN again and show the verdict.

    RUN is a run folder or a file inside it, such as verdict.json; left out, it is the latest run below
    .losscope. Of a folder that holds several runs it is the latest one.

    \b
    losscope report
    losscope report .losscope/train-20261123T161147Z --format json
    losscope report runs/lr-0.1 --format html -o lr-0.1.html
    """
    from losscope.recording.reader import Recording
    from losscope.report.format import formats
    from losscope.rules.judge import judge_run

    folder = run_folder(run)
    recording = Recording.open(folder)
    verdict = judge_run(recording)
    recording = recording.focused(verdict.streams)
    format = formats()[chosen]
    if output == "-":
        if sys.stdout is not None:  # closed by the shell: >&-
            _print(format.text_for(verdict, recording, language, sys.stdout), sys.stdout)
    else:
        _write(Path(output), format.text_for(verdict, recording, language, None))


def run_folder(run: str) -> Path:
    """The folder that ``run`` names: itself, the folder of a file in it, or the latest one for ``""``.

    Raises `NotARun` where there is none.
    """
    if not run:
        return latest_run(Path(RUNS))
    path = Path(run)
    if path.is_file():
        if not _may_be_run(path.parent):
            raise NotARun("this file lies in no run folder", seen=run, remedy="name the folder of a run")
        return path.parent
    if path.is_dir() and not _may_be_run(path):
        for runs in (path / RUNS, path):
            if _runs_in(runs):
                return latest_run(runs)
    return path


def _may_be_run(folder: Path) -> bool:
    return (folder / "run.json").exists() or (folder / "segments").exists()


def _runs_in(runs: Path) -> list[Path]:
    return [f for f in runs.iterdir() if (f / "run.json").is_file()] if runs.is_dir() else []


def latest_run(runs: Path) -> Path:
    """The run folder below ``runs`` that began last."""
    folders = _runs_in(runs)
    if not folders:
        raise NotARun(
            "no recorded run found",
            seen=str(runs),
            remedy="run `losscope run SCRIPT` first, or name its folder",
        )
    return max(folders, key=lambda f: ((f / "run.json").stat().st_mtime_ns, f.name))


def _print(text: str, stream: TextIO) -> None:
    """Write the text; signs that the stream cannot encode are replaced rather than fatal."""
    encoding = stream.encoding or "utf-8"
    click.echo(text.encode(encoding, errors="replace").decode(encoding), file=stream, nl=False, color=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    except OSError as error:
        raise BadUsage(f"cannot write {path}: {error.strerror}") from error
