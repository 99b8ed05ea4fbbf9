"""Run a training script unmodified and say what its loss means."""

import re
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import click

from losscope.cli.configuration import settings
from losscope.cli.seconds import Finite
from losscope.core.baseline import read_baseline
from losscope.core.errors import BadUsage
from losscope.core.registry import module_names
from losscope.core.text import LANGUAGES
from losscope.watching.options import RunOptions
from losscope.watching.script_target import Kind, Target, script_target

_CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_KIND = "losscope.cli.run.kind"


class Codes(click.ParamType):
    """A comma-separated list of finding codes."""

    name = "codes"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        codes = tuple(code.strip() for code in str(value).split(",") if code.strip())
        for code in codes:
            if not _CODE.fullmatch(code):
                self.fail(f"{code!r} is not a finding code such as 'double-softmax'", param, ctx)
            if code not in _known():
                near = get_close_matches(code, _known(), n=1)
                hint = f"did you mean {near[0]!r}?" if near else "`losscope explain` lists every code"
                self.fail(f"no finding has the code {code!r}; {hint}", param, ctx)
        return codes


def _known() -> list[str]:
    """The codes of all rules: a rule lies in the file of its name. Rules are not imported: they load scipy."""
    return [name.rpartition(".")[2].replace("_", "-") for name in module_names("losscope.rules")]


class RunCommand(click.Command):
    """Takes losscope's own options off the front; leaves every word from the script's name on untouched."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own, kind, rest = self._split(ctx, list(args))
        ctx.meta[_KIND] = kind
        if not ctx.resilient_parsing and not {"-h", "--help"}.intersection(own):
            known = {
                p.opts[0].removeprefix("--"): p.name
                for p in self.params
                if isinstance(p, click.Option) and p.name
            }
            ctx.default_map = settings(Path.cwd(), known)
        return super().parse_args(ctx, [*own, "--", *rest] if rest else own)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[OPTIONS]", "(SCRIPT | -m MODULE | -- LAUNCHER ...)", "[ARGS]..."]

    def _split(self, ctx: click.Context, words: list[str]) -> tuple[list[str], Kind, list[str]]:
        """``(own options, what the rest is, the rest)``; the rest begins with script, module or launcher."""
        takes_value = {
            name: option.nargs == 1 and not option.is_flag
            for option in self.get_params(ctx)
            if isinstance(option, click.Option)
            for name in option.opts
        }
        position = 0
        while position < len(words):
            word = words[position]
            if word == "--":
                return words[:position], "launcher", words[position + 1 :]
            if word == "-m":
                return words[:position], "module", words[position + 1 :]
            if word.startswith("-m"):
                return words[:position], "module", [word[2:], *words[position + 1 :]]
            if not word.startswith("-") or word == "-":
                return words[:position], "script", words[position:]
            position += 2 if takes_value.get(word) else 1
        return words, "script", []


@click.command(cls=RunCommand)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    envvar="LOSSCOPE_OUT",
    help="Run folder.  [default: .losscope/SCRIPT-TIME]",
)
@click.option(
    "--budget",
    type=Finite(0, 100),
    default=3.0,
    show_default=True,
    metavar="PCT",
    envvar="LOSSCOPE_BUDGET",
    help="Overhead that the watch may cost, in percent of the script's own time.",
)
@click.option(
    "--trials",
    type=Finite(0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    envvar="LOSSCOPE_TRIALS",
    help="How long findings may be tried by experiments when the script has ended, never longer than it ran; 0: not.",
)
@click.option(
    "--examine",
    type=Finite(0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    envvar="LOSSCOPE_EXAMINE",
    help="How long the objective may be examined when the script has ended, never longer than it ran; 0: not.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "never"]),
    default="never",
    show_default=True,
    envvar="LOSSCOPE_FAIL_ON",
    help="Exit with 20 where the script exits with 0 and such a finding is there.",
)
@click.option(
    "--select",
    type=Codes(),
    default="",
    metavar="CODES",
    envvar="LOSSCOPE_SELECT",
    help="Judge these findings only, separated by commas.",
)
@click.option(
    "--ignore",
    type=Codes(),
    default="",
    metavar="CODES",
    envvar="LOSSCOPE_IGNORE",
    help="Do not report these findings.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="LOSSCOPE_BASELINE",
    help="Findings that are known, written by `losscope baseline`, or an earlier run: --fail-on passes over them.",
)
@click.option(
    "--lang",
    type=click.Choice(LANGUAGES),
    default="en",
    show_default=True,
    envvar="LOSSCOPE_LANG",
    help="Language of verdict and report.",
)
@click.argument("target", nargs=-1, type=click.UNPROCESSED, shell_complete=lambda *_: _complete_files())
@click.pass_context
def command(ctx: click.Context, target: tuple[str, ...], **chosen: Any) -> Callable[[], int]:
    """Run a training script unmodified and say what its loss means.

    SCRIPT runs as "python SCRIPT ARGS" would, with the same output and exit code. A short verdict then
    stands on stderr, and a report lies in the run folder. MODULE runs as "python -m MODULE" would. A
    LAUNCHER is any command that starts python, such as torchrun or accelerate.

    \b
    losscope run train.py --lr 0.1
    losscope run -m package.train --lr 0.1
    losscope run -- torchrun --nproc-per-node 2 train.py
    """
    options = RunOptions(**chosen)
    if options.baseline is not None:
        options = replace(options, baseline=read_baseline(options.baseline).file)
    kind: Kind = ctx.meta[_KIND]
    if not target or not target[0]:
        raise BadUsage(_missing(kind), remedy="losscope run --help shows how")
    name, arguments = target[0], target[1:]
    if kind == "launcher":
        from losscope.watching.launcher import find_launcher, run_launcher

        return partial(run_launcher, find_launcher(name), target, options)
    from losscope.watching.script_runner import run_target

    what = Target("module", name, arguments) if kind == "module" else script_target(name, arguments)
    return partial(run_target, what, options)


def _missing(kind: Kind) -> str:
    return {"module": "-m needs the name of a module", "launcher": "-- needs a command to run"}.get(
        kind, "no script to run was named"
    )


def _complete_files() -> list[Any]:
    from click.shell_completion import CompletionItem  # lazy: only a shell asks for it

    return [CompletionItem("", type="file")]
