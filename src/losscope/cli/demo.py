"""Train a small real model twice, once with a planted fault, and show both verdicts."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import click

from losscope.core.errors import BadUsage
from losscope.core.text import LANGUAGES, Language, Text

SCRIPT = Path(__file__).parent.parent / "demo_scripts" / "train_digits.py"

_HEALTHY = Text(en="1. A healthy run", zh="一、健康的训练")
_FAULTY = Text(
    en="2. The same run with a softmax before the cross-entropy",
    zh="二、同样的训练，但在交叉熵前多加了 softmax",
)
_REPORTS = Text(
    en="Both reports are web pages; open them in a browser:", zh="两份报告都是网页，可用浏览器打开："
)


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("losscope-demo"),
    show_default=True,
    help="Folder for the two runs.",
)
@click.option(
    "--lang", type=click.Choice(LANGUAGES), default="en", show_default=True, help="Language of the verdicts."
)
def command(out: Path, lang: Language) -> None:
    """Train a small real model twice and show what losscope says.

    The data are scikit-learn's 8x8 digits. The second run has one planted fault: a softmax before the
    cross-entropy. Each run takes a few seconds; each writes a report.

    \b
    losscope demo
    losscope demo --out /tmp/demo --lang zh
    """
    if importlib.util.find_spec("sklearn") is None:
        raise BadUsage("the demo needs scikit-learn", remedy="pip install 'losscope[demo]'")
    reports = []
    for heading, name, arguments in ((_HEALTHY, "healthy", []), (_FAULTY, "double-softmax", ["--softmax"])):
        folder = _fresh(out / name)
        shown = " ".join(["losscope run", SCRIPT.name, *arguments])
        click.secho(f"\n{getattr(heading, lang)}", bold=True)
        click.secho(f"$ {shown}", dim=True)
        words = [
            sys.executable,
            "-m",
            "losscope",
            "run",
            "--out",
            str(folder),
            "--lang",
            lang,
            str(SCRIPT),
            *arguments,
        ]
        code = subprocess.run(words, check=False).returncode
        if code:
            raise SystemExit(code)
        reports.append(folder / "report.html")
    click.echo(f"\n{getattr(_REPORTS, lang)}")
    for report in reports:
        click.echo(f"  {report.absolute()}")


def _fresh(folder: Path) -> Path:
    """A folder that holds no run yet: the one asked for, or the next number."""
    candidate, count = folder, 2
    while candidate.exists() and any(candidate.iterdir()):
        candidate, count = folder.with_name(f"{folder.name}-{count}"), count + 1
    return candidate
