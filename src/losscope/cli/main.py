"""The command ``losscope``: finds subcommands by file, turns faults into one line and an exit code."""

import ast
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click

from losscope import __version__
from losscope.core.errors import LosscopeError

OWN_FAULT = 70
_PACKAGE = "losscope.cli"


class Commands(click.Group):
    """One subcommand per module here that defines ``command``; only the invoked one is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(name for name in _module_names() if _describe(name) is not None)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _module_names():
            return None
        command = getattr(import_module(f"{_PACKAGE}.{_module(cmd_name)}"), "command", None)
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for an unknown one."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            near = get_close_matches(name, self.list_commands(ctx), n=2, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else "losscope --help lists the commands"
            raise click.UsageError(f"no such command: {name}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with the first line of their files, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _describe(name) or "") for name in self.list_commands(ctx)])


def _module_names() -> list[str]:
    package = import_module(_PACKAGE)
    names = [info.name for info in pkgutil.iter_modules(package.__path__) if not info.ispkg]
    return [name.replace("_", "-") for name in names if name != "main"]


def _module(command: str) -> str:
    return command.replace("-", "_")


def _describe(command: str) -> str | None:
    """First line of a command file's docstring; ``None`` for a file that defines no ``command``."""
    spec = find_spec(f"{_PACKAGE}.{_module(command)}")
    if spec is None or spec.origin is None:
        return None
    # Read from the file: a loader, such as pytest's, need not be able to tell the source.
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names.update(target.id for target in targets if isinstance(target, ast.Name))
    if "command" not in names:
        return None
    return (ast.get_docstring(tree) or "").partition("\n")[0]


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="losscope")
@click.pass_context
def losscope(ctx: click.Context) -> None:
    """Reads the compass of a learning system: what its loss means, and what is wrong."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 2 for bad input, 70 for a fault of losscope's own.

    A command may return a callable, which is then called outside of everything that handles losscope's
    own faults, with as few frames below it as can be: that is how a user's script is run.
    """
    result = _invoke(arguments)
    if not callable(result):
        return result
    _forget_click()
    try:
        return result()
    except LosscopeError as error:
        return _refuse(error)


def _invoke(arguments: Sequence[str] | None) -> Callable[[], int] | int:
    """What the command returns, or the exit code of its failure."""
    try:
        result: Callable[[], int] | int | None = losscope.main(
            arguments, prog_name="losscope", standalone_mode=False
        )
        _flush()
        return result if result is not None else 0
    except (click.ClickException, LosscopeError) as error:
        return _refuse(error)
    except click.Abort:
        return 130
    except BrokenPipeError:
        # The reader of our output went away; python must not complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the last resort: one line instead of a traceback
        return _own_fault(error)


def _flush() -> None:
    """Let a closed pipe show now; a stdout that the shell closed (``>&-``) does not exist."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _forget_click() -> None:
    """Let a script that imports click, or a file of that name beside it, find what python would find."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "click"]:
        del sys.modules[name]


def _refuse(error: click.ClickException | LosscopeError) -> int:
    _debug(error)
    _say(_in_our_words(error) if isinstance(error, click.ClickException) else str(error))
    return error.exit_code if isinstance(error, LosscopeError) else 2


def _in_our_words(error: click.ClickException) -> str:
    """What click says as every other line is written: "no such option '--jsn'; did you mean '--json'?"."""
    text = error.format_message().rstrip(".").replace(". Did you mean", "; did you mean")
    text = text[:1].lower() + text[1:]
    context = getattr(error, "ctx", None)
    if context is None or ";" in text:
        return text
    return f"{text}; {context.command_path} --help tells what there is"


def _own_fault(error: Exception) -> int:
    _debug(error)
    _say(f"internal fault: {type(error).__name__}: {error}; LOSSCOPE_DEBUG=1 shows where")
    return OWN_FAULT


def _debug(error: Exception) -> None:
    if os.environ.get("LOSSCOPE_DEBUG", "0") not in ("", "0"):
        raise error


def _say(text: str) -> None:
    line = " ".join(f"losscope: {text}".split())
    if sys.stderr is not None:
        sys.stderr.write(line.encode(errors="backslashreplace").decode() + "\n")
