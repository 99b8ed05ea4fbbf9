"""Options as the cause: one that was left out and is fed as an input, one whose value no input is taken with.

Both are found by experiment. A parameter without a default is tried as a plain number: where the loss then has a
meaning that it had not before, it is an option. A value that was given is tried as the loss would choose it itself.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from losscope.checks.naming import meant, words
from losscope.checks.sizes import usual
from losscope.checks.target import Target, defaults
from losscope.core.errors import BadUsage
from losscope.losses.catalogue import specs
from losscope.losses.spec import needed_options
from losscope.losses.tasks import TASKS

_MOST = 2
"""So many parameters at the end are tried as options though their names say nothing."""


def left_out(
    target: Target, fits: Callable[[Target], str], *, by_name: bool = False
) -> tuple[tuple[str, ...], str] | None:
    """Parameters that are options, and what the loss is with numbers for them; ``None`` where none are.

    ``fits(target)`` names the task of a target, empty where it fits none. ``by_name``: only those whose name is that
    of an option.
    """
    for names in _suspects(target, by_name=by_name):
        numbers = {name: _number(name) for name in names}
        if task := fits(_bound(target, numbers)):
            given = ", ".join(f"{name}={value!r}" for name, value in numbers.items())
            return names, f"with {given} it is {task}"
    return None


def is_option(name: str) -> bool:
    """Whether losses of the catalogue have an option of this name that is a number or a word, and none an argument."""
    known = name in _options() or name in usual([name])
    return len(name) > 1 and known and not any(meant(word) for word in words(name))


def refusal(target: Target, names: tuple[str, ...], seen: str) -> BadUsage:
    """The fault of a loss whose options were left out."""
    one = len(names) == 1
    given = " ".join(f"--option {name}=…" for name in names)
    otherwise = f"name the --task if {'it is' if one else 'they are'} input"
    return BadUsage(
        f"{target.name} seems to take {' and '.join(names)} as {'an option' if one else 'options'}, not as input",
        seen=seen,
        remedy=f"give {given} (in Python functools.partial), or {otherwise}",
    )


def at_fault(target: Target, fits: Callable[[Target], str], raised: Mapping[str, str]) -> BadUsage | None:
    """The fault where a loss takes its inputs with its own value of an option, or a plain one, and not with that given.

    ``raised`` tells how it refused the inputs of each task.
    """
    chosen = defaults(target.loss)
    options = {} if target.by_attribute else target.options
    given = {k: v for k, v in options.items() if k not in chosen or v is not chosen[k]}
    own = {name: chosen.get(name, _number(name)) for name in given}
    changes = [{name: own[name]} for name in given]
    changes += [{name: own[name] for name in given}] if len(given) > 1 else []
    for change in changes:
        task = fits(replace(target, make=_making(target, change), options={**target.options, **change}))
        if task:
            return BadUsage(
                f"{target.name} takes no inputs with {_written({name: given[name] for name in change})}",
                seen=f"with {_written(change)} it is {task}; now: {raised.get(task, 'no value')}",
                remedy="give another value",
            )
    return None


def _suspects(target: Target, *, by_name: bool) -> Iterator[tuple[str, ...]]:
    """Sets of parameters that may be options: those with such names, then the last ones."""
    if not (inspect.isfunction(target.loss) or inspect.isbuiltin(target.loss)):
        return
    count = len(target.parameters)
    named = tuple(name for name in target.parameters if is_option(name))
    last = [target.parameters[-n:] for n in range(1, _MOST + 1) if count - n > 1 and not by_name]
    sets = [named, *last] if 0 < len(named) < count else last
    yield from dict.fromkeys(sets)


def _bound(target: Target, numbers: Mapping[str, Any]) -> Target:
    return replace(
        target,
        make=_making(target, numbers),
        parameters=tuple(name for name in target.parameters if name not in numbers),
        options={**target.options, **numbers},
    )


def _making(target: Target, chosen: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Callable[..., Any]]:
    return lambda more: target.make({**chosen, **more})


def _number(name: str) -> Any:
    """What losses of the catalogue choose for an option of this name, else a usual length, else 1."""
    return {**_options(), **usual([name])}.get(name, 1.0)


@cache
def _options() -> dict[str, Any]:
    """Names of options of the catalogue's losses that are numbers or words, with a default."""
    arguments = {a.name for task in TASKS.values() for a in task.arguments}
    arguments |= {a.name for spec in specs().values() for a in spec.arguments}
    found: dict[str, Any] = {}
    for spec in specs().values():
        parameters = inspect.signature(spec.function).parameters if spec.function else {}
        chosen = {**needed_options(spec), **{n: p.default for n, p in parameters.items()}}
        for name, value in chosen.items():
            if name not in arguments and isinstance(value, int | float | str) and not isinstance(value, bool):
                found.setdefault(name, value)
    return found


def _written(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())
