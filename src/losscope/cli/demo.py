"""Train a small real model twice, once with a planted fault, and show both verdicts."""

import importlib.util
import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from losscope.core.errors import BadUsage, LosscopeError
from losscope.core.text import LANGUAGES, Language, Text

SCRIPT = Path(__file__).parent.parent / "demo_scripts" / "train_digits.py"

_NEEDS = Text(en="the demo needs scikit-learn", zh="演示需要 scikit-learn")
_INSTALL = Text(en="install it with: {pip} scikit-learn", zh="安装方法：{pip} scikit-learn")
_UNWRITABLE = Text(en="the demo cannot write its runs to {folder}", zh="演示无法把运行记录写入 {folder}")
_ELSEWHERE = Text(en="--out FOLDER chooses another place", zh="用 --out FOLDER 选择其他位置")
_NO_VERDICT = Text(en="the demo's run left no verdict in {folder}", zh="演示的运行没有在 {folder} 留下结论")
_OTHER = Text(
    en="the demo's run was judged {state!r} instead of {expected!r}",
    zh="演示的运行被判为 {state!r}，而应为 {expected!r}",
)
_REPORTS = Text(
    en="Both reports are web pages; open them in a browser:", zh="两份报告都是网页，可用浏览器打开："
)
_NEXT = Text(en="A script of yours:  losscope run train.py", zh="检查自己的脚本：losscope run train.py")


@dataclass(frozen=True)
class Part:
    """One of the two trainings: its heading, folder, arguments of the script, and the verdict to expect."""

    heading: Text
    name: str
    arguments: tuple[str, ...]
    state: str


PARTS = (
    Part(Text(en="1. A healthy run", zh="一、健康的训练"), "healthy", (), "healthy"),
    Part(
        Text(
            en="2. The same run with a softmax before the cross-entropy",
            zh="二、同样的训练，但在交叉熵前多加了 softmax",
        ),
        "double-softmax",
        ("--softmax",),
        "wrong",
    ),
)


class DemoFailed(LosscopeError):
    """The demo did not show what it is there to show: a fault of losscope's, not of the user's."""

    exit_code = 70


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("losscope-demo"),
    show_default=True,
    help="Folder for the two runs.",
)
@click.option(
    "--lang",
    type=click.Choice(LANGUAGES),
    default="en",
    show_default=True,
    envvar="LOSSCOPE_LANG",
    help="Language of the verdicts.",
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
        pip = f"{shlex.quote(sys.executable)} -m pip install"
        raise BadUsage(_NEEDS().render(lang), remedy=_INSTALL(pip=pip).render(lang))
    reports = [_show(part, out, lang) for part in PARTS]
    click.echo(f"\n{getattr(_REPORTS, lang)}")
    for report in reports:
        click.echo(f"  {report.absolute()}")
    click.echo(f"\n{getattr(_NEXT, lang)}")


def _show(part: Part, out: Path, lang: Language) -> Path:
    """Run one part under losscope and return its report.

    Raises `SystemExit` with the script's code where that fails, and `DemoFailed` where the verdict is
    missing or is not the one that the part was made for.
    """
    folder = _fresh(out / part.name, lang)
    script = out / SCRIPT.name
    shutil.copyfile(SCRIPT, script)  # where it is installed it would be taken for a library's code
    click.secho(f"\n{getattr(part.heading, lang)}", bold=True)
    click.secho("$ " + shlex.join(["losscope", "run", str(script), *part.arguments]), dim=True)
    code = run_watched(script, folder, lang, part.arguments)
    if code:
        raise SystemExit(code)
    try:
        state = json.loads((folder / "verdict.json").read_bytes())["state"]
    except (OSError, ValueError):
        raise DemoFailed(_NO_VERDICT(folder=folder).render(lang)) from None
    if state != part.state:
        raise DemoFailed(_OTHER(state=state, expected=part.state).render(lang), seen=str(folder))
    return folder / "report.html"


def run_watched(script: Path, folder: Path, lang: Language, arguments: tuple[str, ...]) -> int:
    """``losscope run`` on the demo's script in its own process; returns the exit code.

    ``-P``: a ``random.py`` in the working directory is not for us. The gate and the choice of codes are
    given, so that settings made for the user's own runs do not bend the demo.
    """
    own = ["--out", str(folder), "--lang", lang, "--fail-on", "never", "--select", "", "--ignore", ""]
    words = [sys.executable, "-P", "-m", "losscope", "run", *own, str(script), *arguments]
    sys.stdout.flush()
    return subprocess.run(words, check=False).returncode


def _fresh(folder: Path, lang: Language) -> Path:
    """A new empty folder: the one asked for, or the next number where that holds a run already."""
    candidate, count = folder, 2
    try:
        while candidate.exists() and any(candidate.iterdir()):
            candidate, count = folder.with_name(f"{folder.name}-{count}"), count + 1
        candidate.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = _UNWRITABLE(folder=folder.parent.absolute()).render(lang)
        raise BadUsage(what, seen=error.strerror or str(error), remedy=_ELSEWHERE().render(lang)) from None
    return candidate
