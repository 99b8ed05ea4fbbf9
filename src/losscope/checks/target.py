"""From what a user names to something that can be called.

``package.module:Loss`` or, with options, ``package.module:Loss(gamma=2)``; ``package.module:make()`` for a function
that returns a loss.
"""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from losscope.checks.by_keyword import by_keyword
from losscope.checks.entry import FIXED_OPTIONS, entry, refuse_unknown, signature
from losscope.checks.options import all_tensors, call, following, tensors_where_meant
from losscope.checks.sizes import usual
from losscope.checks.time_limit import Overrun, time_limit
from losscope.core.errors import BadUsage
from losscope.core.importing import attribute, split
from losscope.core.places import place
from losscope.losses.catalogue import get, importable

_HELP = "name it as package.module:Loss, folder/file.py:Loss, or package.module:Loss(option=value)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A loss as named: ``make(options)`` calls or builds it with further options; ``source(options)`` are lines for it.

    ``parameters`` are the names that a call takes by position without a default, ``accepts`` the options;
    ``loss`` is the function or the instance itself. ``as_tensors`` makes the target with tensors for its options
    that are lists of numbers. ``by_attribute``: ``make`` sets options on a copy of a live module.
    """

    name: str
    make: Callable[[Mapping[str, Any]], Callable[..., Any]]
    parameters: tuple[str, ...]
    accepts: frozenset[str]
    options: Mapping[str, Any]
    source: Callable[[Mapping[str, Any]], str]
    hints: str
    loss: Any = None
    as_tensors: "Callable[[], Target] | None" = None
    by_attribute: bool = False


def defaults(loss: Any) -> dict[str, Any]:
    """The options as a loss itself chooses them: of a module those of its constructor."""
    kind = loss if inspect.isroutine(loss) or not hasattr(loss, "forward") else type(loss)
    try:
        parameters = inspect.signature(kind).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def resolve(text: str, seconds: float | None = None) -> Target:
    """Import and build what ``text`` names, within a time limit.

    Raises ``BadUsage``, one clear line, for all that can go wrong.
    """
    try:
        with time_limit(seconds):
            return _resolve(text)
    except Overrun:
        raise BadUsage(
            f"importing {text.partition(':')[0]} did not end within {seconds:g} s",
            seen="it waits, loops or trains at import",
            remedy='put that under if __name__ == "__main__", or raise the limit with --seconds',
        ) from None


def in_catalogue(text: str) -> str:
    """Where the loss of the catalogue is that goes by this name: an audit takes what can be imported."""
    try:
        spec = get(call(text, text, _HELP)[0])
    except BadUsage:
        return ""
    paths = filter(None, (importable(f) for f in (spec.function, spec.module)))
    where = " or ".join(f"losscope audit {path}" for path in paths)
    return f"{spec.name} is a loss of the catalogue: {where or f'losscope losses {spec.name}'}"


def _resolve(text: str) -> Target:
    module_name, rest = split(text, _HELP, in_catalogue)
    path, options, called = call(rest, text, _HELP)
    found = attribute(module_name, path, text, _HELP)
    return of(found, options, imported=(module_name, path), called=called)


def of(
    loss: Any,
    options: Mapping[str, Any] | None = None,
    imported: tuple[str, str] | None = None,
    *,
    called: bool = False,
) -> Target:
    """A target for a live object: a module, a class of modules, a function, a closure, or a function without arguments
    that returns one of these. ``called``: the user wrote brackets."""
    options = tensors_where_meant(loss, options or {})

    def plain(chosen: dict[str, Any]) -> Target:
        return by_keyword(_of(loss, chosen, imported=imported, called=called))

    others = all_tensors(options)
    if others is None:
        return plain(options)
    try:
        return replace(plain(options), as_tensors=lambda: plain(others))
    except BadUsage as error:  # where it is built from a list it may want a tensor
        try:
            return plain(others)
        except BadUsage:
            raise error from None


def _of(loss: Any, options: dict[str, Any], imported: tuple[str, str] | None, *, called: bool) -> Target:
    if inspect.isclass(loss):
        return _of_class(loss, options, imported)
    if not callable(loss):
        raise BadUsage(
            "this is not a loss: it cannot be called", seen=f"{type(loss).__name__} {str(loss)[:60]}"
        )
    if (made := _made_by(loss, options, imported, called=called)) is not None:
        return made
    function = entry(loss, type(loss).__name__) if hasattr(loss, "parameters") else loss
    positional, keywords = signature(function)
    if function is loss:
        refuse_unknown(getattr(loss, "__name__", type(loss).__name__), options, keywords)
    named = type(loss) if function is not loss else loss
    module, path = imported or (getattr(named, "__module__", ""), getattr(named, "__qualname__", ""))

    def make(more: Mapping[str, Any]) -> Callable[..., Any]:
        merged = {**options, **more}
        if function is not loss:
            return _following(_module_with(loss, more))
        return _filled(loss, positional, merged) if merged else loss

    accepts = frozenset(keywords) if function is loss else frozenset(_attributes(loss))
    kept = {k: v for k in sorted(accepts) if (v := getattr(loss, k, None)) is not None}
    made = options if function is loss else _unusual(type(loss), kept)
    label = type(loss).__name__ if function is not loss else getattr(loss, "__name__", type(loss).__name__)
    return Target(
        name=f"{module}.{label}" if module else label,
        make=make,
        parameters=tuple(n for n in positional if n not in options),
        accepts=accepts,
        options=options if function is loss else kept,
        source=lambda more: (
            _imported(*imported, more)
            if imported and function is not loss
            else _source(module, path, {**made, **more}, instance=function is not loss, taken=positional)
        ),
        hints=f"{label} {module} {' '.join(positional)} {(inspect.getdoc(loss) or '')[:200]}",
        loss=loss,
        by_attribute=function is not loss,
    )


def _filled(
    loss: Callable[..., Any], positional: Sequence[str], options: Mapping[str, Any]
) -> Callable[..., Any]:
    """A function with options; inputs go by name where an option stands before them."""
    rest = [name for name in positional if name not in options]
    if rest == list(positional)[: len(rest)]:
        return lambda *inputs: loss(*inputs, **following(options, inputs))
    return lambda *inputs: loss(**dict(zip(rest, inputs, strict=False)), **following(options, inputs))


def _made_by(
    factory: Any, options: dict[str, Any], imported: tuple[str, str] | None, *, called: bool
) -> Target | None:
    """The loss that a function returns which takes no arguments, or options only and was written with brackets;
    ``None`` for other functions."""
    if not inspect.isroutine(factory):
        return None
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return None
    if parameters and (not called or signature(factory)[0]):
        return None
    try:
        loss = _seeded(factory, options)
    except Exception as error:
        if parameters:
            return None  # a loss whose arguments all have defaults
        raise BadUsage(
            f"{factory.__name__} raised", seen=f"{type(error).__name__}: {error}{place(error)}"
        ) from error
    if not callable(loss):
        if parameters:
            return None
        raise BadUsage(
            f"{factory.__name__} takes no arguments and returns no loss",
            seen=f"{type(loss).__name__} {str(loss)[:60]}",
            remedy="let it return a function or a module",
        )
    module, path = imported or (factory.__module__, factory.__qualname__)
    inner = _of(loss, {}, None, called=False)
    text = ", ".join(f"{k}={_literal(v)}" for k, v in options.items())
    return replace(
        inner,
        name=f"{module}.{path}({text})",
        source=lambda more: _imported(module, path, more, f"({text})"),
        hints=f"{path} {inner.hints}",
    )


def _of_class(loss: type, options: dict[str, Any], imported: tuple[str, str] | None) -> Target:
    module, path = imported or (loss.__module__, loss.__qualname__)
    _, keywords = signature(loss)
    refuse_unknown(path, options, keywords)
    options = usual([n for n in signature(loss)[0] if n not in options]) | options
    instance = _build(loss, options)
    if not callable(instance):
        raise BadUsage(f"{path} is not a loss: its instances cannot be called", seen=f"{module}:{path}")
    positional, _ = signature(entry(instance, path))

    def make(more: Mapping[str, Any]) -> Callable[..., Any]:
        return _following(_seeded(loss, {**options, **more}) if more else instance)

    return Target(
        name=f"{module}.{path}",
        make=make,
        parameters=tuple(positional),
        accepts=frozenset(keywords) - FIXED_OPTIONS,
        options=options,
        source=lambda more: _source(
            module, path, {**options, **more}, instance=True, seeded=_draws(instance)
        ),
        hints=f"{path} {module} {' '.join(positional)} {(inspect.getdoc(loss) or '')[:200]}",
        loss=instance,
    )


def _build(loss: type, options: dict[str, Any]) -> Any:
    required = [n for n in signature(loss)[0] if n not in options]
    if required:
        example = ", ".join(f"{n}=…" for n in required)
        raise BadUsage(
            f"{loss.__name__} needs arguments to be built: {', '.join(required)}",
            remedy=f"give them: {loss.__module__}:{loss.__qualname__}({example})",
        )
    try:
        return _seeded(loss, options)
    except Exception as error:
        raise BadUsage(
            f"{loss.__name__} could not be built", seen=f"{type(error).__name__}: {error}{place(error)}"
        ) from error


def _attributes(loss: Any) -> list[str]:
    """Options that a live module keeps as attributes of the same name."""
    _, keywords = signature(type(loss))
    return [k for k in keywords if hasattr(loss, k)]


def _module_with(loss: Any, options: Mapping[str, Any]) -> Callable[..., Any]:
    if not options:
        return loss
    other = copy.deepcopy(loss)
    for name, value in options.items():
        setattr(other, name, value)
    return other


def _seeded(loss: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """An instance whose random weights are the same every time; the global random state is untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return loss(**options)


def _following(loss: Any) -> Callable[..., Any]:
    """A module whose own weights follow the precision of its inputs; anything without weights is left as it is."""
    weights = [*getattr(loss, "parameters", list)(), *getattr(loss, "buffers", list)()]
    weights += [value for owner in _owners(loss) for value in vars(owner).values() if _is_real(value)]
    if not any(w.dtype.is_floating_point for w in weights):
        return loss
    return _Following(loss, weights[0].dtype)


class _Following:
    def __init__(self, loss: Any, usual: torch.dtype) -> None:
        self._loss, self._usual = loss, usual
        self._copies: dict[torch.dtype, Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        dtype = next((a.dtype for a in arguments if a.dtype.is_floating_point), self._usual)
        if dtype not in self._copies:
            self._copies[dtype] = self._copy(dtype)
        return self._copies[dtype](*arguments)

    def _copy(self, dtype: torch.dtype) -> Any:
        try:
            other = copy.deepcopy(self._loss)
        except Exception:  # noqa: BLE001  whatever a copy of somebody's object may raise
            return self._loss
        other = other.to(dtype) if isinstance(other, torch.nn.Module) else other
        for owner in _owners(other):
            for name, value in vars(owner).items():
                if _is_real(value):
                    setattr(owner, name, value.to(dtype))
        return other


def _owners(loss: Any) -> list[Any]:
    """A module and those in it, or an instance: what may have tensors as plain attributes."""
    if isinstance(loss, torch.nn.Module):
        return list(loss.modules())
    return [] if inspect.isroutine(loss) or not hasattr(loss, "__dict__") else [loss]


def _is_real(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype.is_floating_point and not value.requires_grad


def _imported(module: str, path: str, options: Mapping[str, Any], called: str = "") -> str:
    """Lines that take an instance from its module, or call what makes it."""
    root = path.partition(".")[0]
    changed = "".join(f"; loss.{k} = {_literal(v)}" for k, v in options.items())
    return f"import torch; from {module} import {root}\nloss = {path}{called}{changed}"


def _draws(loss: Any) -> bool:
    return any(True for _ in getattr(loss, "parameters", tuple)())


def _source(
    module: str,
    path: str,
    options: Mapping[str, Any],
    *,
    instance: bool,
    seeded: bool = False,
    taken: Sequence[str] = (),
) -> str:
    """Lines that make ``loss`` in a fresh interpreter; ``seeded``: its own weights are drawn with seed 0."""
    if not module or "<" in path:
        return "import torch  # loss: the callable that was audited"
    root = path.partition(".")[0]
    text = ", ".join(f"{k}={_literal(v)}" for k, v in options.items())
    rest = [name for name in taken if name not in options]
    by_name = "" if rest == list(taken)[: len(rest)] else ", ".join(f"{name}={name}" for name in rest)
    wrapper = (
        f"lambda {', '.join(rest)}: {path}({by_name}, {text})"
        if by_name
        else f"lambda *a: {path}(*a, {text})"
    )
    made = f"{path}({text})" if instance else wrapper if options else path
    seed = "torch.manual_seed(0); " if seeded else ""
    return f"import torch; from {module} import {root}\n{seed}loss = {made}"


def _literal(value: Any) -> str:
    return f"torch.tensor({value.tolist()})" if isinstance(value, torch.Tensor) else repr(value)


def _unusual(kind: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those options of a live module that its constructor would not choose itself."""
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):
        return {}
    defaults = {n: p.default for n, p in parameters.items()}
    return {k: v for k, v in options.items() if isinstance(v, torch.Tensor) or v != defaults.get(k)}
