"""The examples in hand-written documents do what the text beside them says.

``pycon`` blocks are doctests, one namespace for each page. On a page that shows a file (a
``{code-block}`` with a caption), the files are written to an empty folder and the console blocks that
follow them are run there, in order; each line of output that the page shows must appear, as a part of a
line, in what the command prints.
"""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from source_tree import ROOT

FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
FILE = re.compile(r"^```\{code-block\} python\n:caption: (\S+)\n\n(.*?)^```", re.DOTALL | re.MULTILINE)
CONSOLE = re.compile(
    r"^```(?:console|\{code-block\} console\n:class: executed\n)\n(.*?)^```", re.DOTALL | re.M
)
PYCON = re.compile(r"^```pycon\n(.*?)^```", re.DOTALL | re.MULTILINE)

PAGES = [p for p in (ROOT / "docs").rglob("*.md") if not {"_build", "generated"} & {*p.parts}]
TEXTS = {
    str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in sorted([*ROOT.glob("*.md"), *PAGES])
}


def run_page(text: str, folder: Path) -> list[str]:
    """Write the page's files, run the commands below the first of them; lines that did not appear."""
    for name, content in FILE.findall(text):
        (folder / name).write_text(content)
    missing = []
    shown = text[next(FILE.finditer(text)).start() :]
    for block in CONSOLE.findall(shown):
        for command, *expected in (part.splitlines() for part in re.split(r"^\$ ", block, flags=re.M)[1:]):
            printed = run(command, folder)
            missing += [
                f"{command!r}: {line!r} is not in\n{printed}" for line in expected if line not in printed
            ]
    return missing


def run(command: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert "exit code" in command or done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


@pytest.mark.parametrize("page", [name for name, text in TEXTS.items() if PYCON.search(text)])
def test_python_examples(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = "\n".join(PYCON.findall(TEXTS[page]))
    test = doctest.DocTestParser().get_doctest(source, {}, page, page, 0)
    complaints: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=complaints.append)
    assert "".join(complaints) == ""


@pytest.mark.parametrize("page", [name for name, text in TEXTS.items() if FILE.search(text)])
def test_console_examples(page: str, tmp_path: Path) -> None:
    assert run_page(TEXTS[page], tmp_path) == []


def test_a_planted_mistake_is_caught(tmp_path: Path) -> None:
    text = '```{code-block} python\n:caption: a.py\n\nprint("one")\n```\n\n```console\n$ python a.py\none\ntwo\n```\n'
    (complaint,) = run_page(text, tmp_path)
    assert complaint.startswith("'python a.py': 'two' is not in")
