"""Insert calls into functions in place: same function object, same frames, same line numbers.

``Instrumentation.insert(function, before=f, after=g)`` recompiles the function's own source with
``f(arg, …)`` as its first statement and every ``return x`` turned into ``return g(x, arg, …)``, then
replaces ``function.__code__``. Unlike a wrapper this is seen through every earlier
``from module import function``, adds no frame to a traceback, and keeps the identity by which
torch.compile knows the function. See docs/decisions/0002.
"""

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any, cast

_FUTURE_FLAGS = 0x1FF0000  # compiler flags of `from __future__` imports, as they stand in co_flags
_PREFIX = "__losscope_"


class NotInstrumentable(Exception):
    """The function's source cannot be had or does not have the expected shape."""


@dataclass(frozen=True, slots=True)
class _Change:
    function: Any  # a FunctionType; as a class attribute a type checker would take it for a method
    original: CodeType
    names: tuple[str, ...]


class Instrumentation:
    """A set of in-place changes that can be taken back together."""

    def __init__(self) -> None:
        self._changes: list[_Change] = []

    def insert(
        self,
        function: Callable[..., Any],
        *,
        before: Callable[..., None] | None = None,
        after: Callable[..., Any] | None = None,
        lastly: Callable[[], None] | None = None,
        arguments: tuple[str, ...] = (),
        traced: bool = False,
        gate: list[Any] | None = None,
    ) -> None:
        """Insert ``before(*arguments)`` at the start and ``after(result, *arguments)`` at each return.

        ``lastly()`` is called however the function ends, also by an exception. With a ``gate``, ``before`` is
        called only while ``gate[0]`` is true and ``lastly`` only while ``gate[1]`` is: a closed gate costs
        the function two look-ups and no call.
        ``arguments`` are names of the function's own parameters or locals. ``traced`` guards the calls
        by ``torch.compiler.is_compiling()``, for functions that torch.compile may trace into.
        Functions made by a decorator are followed through ``__wrapped__`` to the code that works.
        """
        unwrapped = inspect.unwrap(function)
        if type(unwrapped) is not FunctionType:
            raise NotInstrumentable(f"{function!r} is not a Python function")
        target = cast(FunctionType, unwrapped)
        if any(change.function is target for change in self._changes):
            raise NotInstrumentable(f"{target.__qualname__} is instrumented already")
        stem = f"{_PREFIX}{target.__qualname__.replace('.', '_')}"
        hooks = {
            f"{stem}_before": before,
            f"{stem}_after": after,
            f"{stem}_lastly": lastly,
            f"{stem}_gate": gate,
        }
        code = _recompile(target, hooks, arguments, traced)
        target.__globals__.update({name: hook for name, hook in hooks.items() if hook is not None})
        self._changes.append(_Change(target, target.__code__, tuple(hooks)))
        target.__code__ = code

    def remove(self) -> None:
        """Put every function back as it was."""
        while self._changes:
            change = self._changes.pop()
            change.function.__code__ = change.original
            for name in change.names:  # a call that is under way in another thread still looks them up
                change.function.__globals__[name] = _CLOSED if name.endswith("_gate") else _inert


def _inert(result: Any = None, *_arguments: Any) -> Any:
    """Stands where a hook was."""
    return result


_CLOSED = (False, False)
"""Stands where a gate was."""


def _recompile(
    function: FunctionType, hooks: dict[str, Any], arguments: tuple[str, ...], traced: bool
) -> CodeType:
    original = function.__code__
    module, definition = _parse(function)
    before_name, after_name, lastly_name, gate_name = hooks
    gate = gate_name if hooks[gate_name] is not None else None
    if hooks[after_name] is not None:
        _Returns(definition, after_name, arguments, traced).apply()
    if hooks[before_name] is not None:
        _insert_first(definition, before_name, arguments, traced, gate)
    if hooks[lastly_name] is not None:
        _insert_finally(definition, lastly_name, gate)
    if original.co_freevars:
        module = _closed_over(definition, original.co_freevars)
    ast.fix_missing_locations(module)
    try:
        compiled = compile(
            module, original.co_filename, "exec", flags=original.co_flags & _FUTURE_FLAGS, dont_inherit=True
        )
    except (SyntaxError, ValueError) as error:
        raise NotInstrumentable(f"{function.__qualname__} cannot be recompiled: {error}") from error
    code = _find(compiled, original.co_name, original.co_firstlineno)
    if code.co_freevars != original.co_freevars:
        raise NotInstrumentable(f"{function.__qualname__} closes over {original.co_freevars}")
    return code.replace(co_qualname=original.co_qualname)


def _parse(function: FunctionType) -> tuple[ast.Module, ast.FunctionDef]:
    """The function's own syntax tree at its true line and column numbers."""
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError) as error:
        raise NotInstrumentable(f"no source for {function.__qualname__}") from error
    source = "".join(lines)
    indented = source[:1].isspace()
    try:
        module = ast.parse("if 1:\n" + source if indented else source)
    except SyntaxError as error:
        raise NotInstrumentable(f"source of {function.__qualname__} does not stand alone") from error
    ast.increment_lineno(module, first - 1 - indented)
    body = module.body[0].body if isinstance(module.body[0], ast.If) else module.body
    definition = body[0]
    if not isinstance(definition, ast.FunctionDef) or definition.name != function.__code__.co_name:
        raise NotInstrumentable(f"source of {function.__qualname__} is not a plain function")
    definition.decorator_list = []
    return ast.Module(body=[definition], type_ignores=[]), definition


def _closed_over(definition: ast.FunctionDef, names: tuple[str, ...]) -> ast.Module:
    """Nest the function in one that owns its free variables, so that it compiles as a closure."""
    factory = ast.parse(f"def {_PREFIX}factory({', '.join(names)}): pass")
    outer = factory.body[0]
    assert isinstance(outer, ast.FunctionDef)
    outer.body = [definition]
    return factory


def _find(code: CodeType, name: str, line: int) -> CodeType:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_name == name:
                return constant.replace(co_firstlineno=line)
            if constant.co_name.startswith(_PREFIX):
                return _find(constant, name, line)
    raise NotInstrumentable(f"recompiled code of {name} not found")


def _names(arguments: tuple[str, ...]) -> list[ast.expr]:
    return [ast.Name(id=a, ctx=ast.Load()) for a in arguments]


def _is_compiling() -> ast.expr:
    return ast.parse("torch.compiler.is_compiling()", mode="eval").body


def _gated(call: ast.stmt, gate: str | None, place: int) -> ast.stmt:
    if gate is None:
        return call
    test = ast.Subscript(ast.Name(id=gate, ctx=ast.Load()), ast.Constant(place), ast.Load())
    return ast.If(test=test, body=[call], orelse=[])


def _insert_first(
    definition: ast.FunctionDef, hook: str, arguments: tuple[str, ...], traced: bool, gate: str | None
) -> None:
    has_docstring = ast.get_docstring(definition, clean=False) is not None
    place = 1 if has_docstring else 0
    call: ast.stmt = ast.Expr(
        ast.Call(func=ast.Name(id=hook, ctx=ast.Load()), args=_names(arguments), keywords=[])
    )
    if traced:
        call = ast.If(test=ast.UnaryOp(op=ast.Not(), operand=_is_compiling()), body=[call], orelse=[])
    call = _gated(call, gate, 0)
    anchor = definition.body[min(place, len(definition.body) - 1)]
    for node in ast.walk(call):
        ast.copy_location(node, anchor)
    definition.body.insert(place, call)


def _insert_finally(definition: ast.FunctionDef, hook: str, gate: str | None) -> None:
    call: ast.stmt = ast.Expr(ast.Call(func=ast.Name(id=hook, ctx=ast.Load()), args=[], keywords=[]))
    call = _gated(call, gate, 1)
    for node in ast.walk(call):
        ast.copy_location(node, definition.body[-1])
    place = 1 if ast.get_docstring(definition, clean=False) is not None else 0
    guarded = ast.Try(body=definition.body[place:], handlers=[], orelse=[], finalbody=[call])
    definition.body[place:] = [ast.copy_location(guarded, guarded.body[0])]


class _Returns(ast.NodeTransformer):
    """Turns ``return x`` into ``return hook(x, …)``; nested functions keep their own returns."""

    def __init__(
        self, definition: ast.FunctionDef, hook: str, arguments: tuple[str, ...], traced: bool
    ) -> None:
        self.definition, self.hook, self.arguments, self.traced = definition, hook, arguments, traced

    def apply(self) -> None:
        last = self.definition.body[-1]
        self.definition.body = [self.visit(statement) for statement in self.definition.body]
        if not isinstance(last, ast.Return | ast.Raise):  # falls off its end: returns None there
            ending = self.visit(ast.copy_location(ast.Return(value=None), last))
            self.definition.body.append(ending)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        value = node.value or ast.Constant(value=None)
        called: ast.expr = ast.Call(
            func=ast.Name(id=self.hook, ctx=ast.Load()), args=[value, *_names(self.arguments)], keywords=[]
        )
        if self.traced:
            called = ast.IfExp(test=_is_compiling(), body=value, orelse=called)
        wrapped = ast.Return(value=called)
        for new in ast.walk(wrapped):
            if not hasattr(new, "lineno"):
                ast.copy_location(new, value if node.value else node)
        return ast.copy_location(wrapped, node)
