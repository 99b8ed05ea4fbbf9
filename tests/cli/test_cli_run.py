"""The command line of ``losscope run``: own options in front, everything else untouched, one line on misuse."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losscope.cli import run as run_module
from losscope.cli.main import losscope
from losscope.core.errors import BadUsage
from losscope.watching.options import RunOptions, launched_options

SOURCE = Path(__file__).parents[2] / "src"
command = run_module.command


def parse(words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, tuple, RunOptions]:
    """``(kind, target words, options)`` that ``losscope run WORDS`` would act on."""
    monkeypatch.delenv("LOSSCOPE_EXAMINE", raising=False)
    seen: dict = {}

    def catch(function, *arguments):
        seen["call"] = (function.__name__, *arguments)
        return function

    monkeypatch.setattr(run_module, "partial", catch)
    monkeypatch.setattr(run_module, "script_target", lambda n, a: run_module.Target("script", n, a))
    monkeypatch.setattr("losscope.watching.launcher.find_launcher", lambda name: name)
    losscope.main(["run", *words], standalone_mode=False)
    name, target, *rest = seen["call"]
    if name == "run_launcher":
        return "launcher", rest[0], rest[1]
    return target.kind, (target.name, *target.arguments), rest[0]


WORDS = st.lists(
    st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=6), max_size=5
)


@given(tail=WORDS | st.lists(st.sampled_from(["--out", "--help", "-m", "--", "-", "", "--budget=1", "-h"])))
def test_words_after_the_target_are_never_read(tail: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        assert parse(["train.py", *tail], patch)[:2] == ("script", ("train.py", *tail))
        assert parse(["--out", "x", "-m", "pkg.mod", *tail], patch)[:2] == ("module", ("pkg.mod", *tail))
        assert parse(["-mpkg", *tail], patch)[:2] == ("module", ("pkg", *tail))
        assert parse(["--lang=zh", "--", "torchrun", *tail], patch)[:2] == ("launcher", ("torchrun", *tail))


def test_defaults_and_every_option(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse(["t.py"], monkeypatch)[2] == RunOptions()
    words = "--out r --budget 1.5 --trials 0 --examine 3 --fail-on warning "
    words += "--select converged,double-softmax --ignore no-validation --lang zh t.py"
    assert parse([*words.split()], monkeypatch)[2] == RunOptions(
        out=Path("r"),
        budget=1.5,
        trials=0,
        examine=3,
        fail_on="warning",
        select=("converged", "double-softmax"),
        ignore=("no-validation",),
        lang="zh",
    )


def test_command_line_beats_environment_beats_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.losscope]\nbudget = 1\nfail-on = "error"\nselect = ["converged", "overfitting"]\n'
        'lang = "zh"\nout = "from-file"\n'
    )
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "pyproject.toml").write_text("[tool.other]\n")
    monkeypatch.chdir(tmp_path / "deep" / "er")
    monkeypatch.setenv("LOSSCOPE_BUDGET", "2")
    monkeypatch.setenv("LOSSCOPE_LANG", "en")
    options = parse(["--budget", "4", "t.py"], monkeypatch)[2]
    assert options == RunOptions(
        budget=4,
        fail_on="error",
        select=("converged", "overfitting"),
        lang="en",
        out=Path("from-file"),
        trials=10,
        examine=10,
    )
    assert parse(["t.py"], monkeypatch)[2].budget == 2


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[tool.losscope]\nbugdet = 3\n", "bugdet"),
        ("[tool.losscope\n", "not valid TOML"),
        ("[tool]\nlosscope = 3\n", "not a table"),
    ],
)
def test_faulty_configuration_is_named(content: str, text: str, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadUsage, match=text):
        parse(["t.py"], monkeypatch)


@pytest.mark.parametrize(
    "words",
    [
        ["--budget", "-1", "t"],
        ["--budget", "x", "t"],
        ["--fail-on", "maybe", "t"],
        ["--lang", "xx", "t"],
        ["--select", "A!", "t"],
        ["--select", "double-sofmax", "t"],
        ["--ignore", "nonsense", "t"],
        ["--nope", "t"],
        ["--out"],
    ],
    ids=" ".join,
)
def test_bad_options_are_refused(words: list[str], monkeypatch) -> None:
    with pytest.raises(click.UsageError):
        parse(words, monkeypatch)


@given(
    budget=st.floats(0, 100),
    codes=st.lists(st.sampled_from(["converged", "double-softmax", "non-finite"]), max_size=3),
)
def test_options_survive_the_environment(budget: float, codes: list[str]) -> None:
    options = RunOptions(out=Path("/x y/z"), budget=budget, select=tuple(codes), lang="zh", fail_on="error")
    variables = options.to_environment()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        assert parse(["t.py"], patch)[2] == options
    launched = launched_options({**variables, "LOSSCOPE_RUN": "/x y/z"})
    assert (launched.out, launched.budget, launched.lang) == (options.out, budget, "zh") and launched.launched


def test_damaged_variables_of_a_launched_process_fall_back() -> None:
    assert launched_options({"LOSSCOPE_BUDGET": "x", "LOSSCOPE_LANG": "?"}) == RunOptions(launched=True)


def call(*words: str, folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "LC_ALL": "C.UTF-8"} | environment
    return subprocess.run(
        [sys.executable, "-m", "losscope", *words],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run"], "losscope: no script to run was named"),
        (["run", ""], "losscope: no script to run was named"),
        (["run", "-m"], "losscope: -m needs the name of a module"),
        (["run", "--"], "losscope: -- needs a command to run"),
        (["run", "no.py"], "losscope: can't open file '{folder}/no.py': No such file or directory"),
        (["run", "folder"], "losscope: can't find '__main__' module in '{folder}/folder'"),
        (["run", "-m", "no_such_module"], "losscope: No module named no_such_module"),
        (["run", "--bugdet", "3", "t.py"], "losscope: no such option '--bugdet'"),
        (["run", "--budget", "much", "t.py"], "losscope: invalid value for '--budget'"),
        (["run", "--out"], "losscope: option '--out' requires an argument"),
        (["no-command"], "losscope: no such command: no-command"),
        (["main"], "losscope: no such command: main"),
        (["--no-option"], "losscope: no such option '--no-option'"),
        (["run", "bad\nname.py"], "losscope: can't open file"),
    ],
    ids=str,
)
def test_misuse_is_one_line_and_exit_2(words: list[str], line: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    done = call(*words, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(line.format(folder=tmp_path))


def test_help_and_version_import_no_command(tmp_path: Path) -> None:
    assert call("--version").stdout.startswith("losscope, version ")
    bare, asked = call(), call("--help")
    assert bare.stdout == asked.stdout and bare.returncode == 0
    assert "run  " in asked.stdout and "configuration" not in asked.stdout
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "losscope", "--help"],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    for module in ("torch", "numpy", "losscope.cli.run", "losscope.watching", "rich", "jinja2"):
        assert f" {module}\n" not in loaded


def test_run_help_shows_every_option() -> None:
    text = call("run", "--help").stdout
    assert "--budget" in text and "-- LAUNCHER" in text
    assert "--trials" in text and "--baseline" in text


def test_own_fault_is_70_and_debug_shows_the_traceback(tmp_path: Path) -> None:
    (tmp_path / "click_less.py").write_text(
        "import sys\nfrom losscope.cli import main\n"
        "def broken(*a, **k): raise RuntimeError('planted')\n"
        "main.losscope.main = broken\nsys.exit(main.main())\n"
    )
    env = {"PYTHONPATH": str(SOURCE)}
    words = [sys.executable, str(tmp_path / "click_less.py")]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 70 and done.stderr.count("\n") == 1 and "planted" in done.stderr
    done = subprocess.run(
        words, env=env | {"LOSSCOPE_DEBUG": "1"}, capture_output=True, text=True, check=False
    )
    assert "Traceback" in done.stderr


def test_closed_output_is_no_fault() -> None:
    read, write = os.pipe()
    os.close(read)
    env = {"PYTHONPATH": str(SOURCE), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "losscope", "--help"],
        env=env,
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert done.stderr == b""


def test_shell_completion() -> None:
    def complete(words: str, count: int) -> list[str]:
        done = call(_LOSSCOPE_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(count))
        return done.stdout.split()

    assert "plain,run" in complete("losscope ru", 1)
    assert "plain,--budget" in complete("losscope run --b", 2)
    assert "file," in complete("losscope run tr", 2)
