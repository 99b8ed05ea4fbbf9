"""Options of a loss as a user writes them: ``Loss(gamma=2, weight=[1, 2, 3])`` or ``weight=tensor([1., 2., 3.])``.

A list of numbers becomes a tensor where the parameter is annotated as one or has one as its default, and where the loss
refuses the list.
"""

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage

_TENSOR = ("tensor", "torch.tensor")
WRITTEN = "values are numbers, texts, True, None, lists, or tensor([1., 2., 3.])"


def call(text: str, whole: str, remedy: str) -> tuple[str, dict[str, Any], bool]:
    """``Loss(gamma=2)`` as a path, its options, and whether it was called at all. Raises ``BadUsage``."""
    if not text.endswith(")"):
        return text, {}, False
    try:
        node = ast.parse(text, mode="eval").body
        if not isinstance(node, ast.Call) or node.args or any(k.arg is None for k in node.keywords):
            raise ValueError("only keyword arguments")
        return ast.unparse(node.func), {str(k.arg): _value(k.value) for k in node.keywords}, True
    except (SyntaxError, ValueError, TypeError, RuntimeError) as error:
        raise BadUsage(
            "the options cannot be read", seen=whole, remedy=f"{remedy}; plain values only: {WRITTEN}"
        ) from error


def written(options: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` words as source texts by name; a value that is no Python value is a text."""
    found = {}
    for word in options:
        name, separator, value = word.partition("=")
        if not separator or not name.strip().isidentifier():
            raise BadUsage("an option is written NAME=VALUE", seen=word, remedy=WRITTEN)
        try:
            _value(ast.parse(value.strip(), mode="eval").body)
            found[name.strip()] = value.strip()
        except (SyntaxError, ValueError):
            if any(c in value for c in "()[]{}"):
                raise BadUsage("the value of an option cannot be read", seen=word, remedy=WRITTEN) from None
            found[name.strip()] = repr(value)
    return found


def with_options(target: str, options: Sequence[str]) -> str:
    """The target as text, with more options in its brackets."""
    if not options:
        return target
    text = ", ".join(f"{name}={value}" for name, value in written(options).items())
    if not target.endswith(")"):
        return f"{target}({text})"
    return f"{target[:-1]}{'' if target.endswith('()') else ', '}{text})"


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and ast.unparse(node.func) in _TENSOR and len(node.args) == 1:
        return torch.tensor(ast.literal_eval(node.args[0]))
    return ast.literal_eval(node)


def tensors_where_meant(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of numbers as tensors for the parameters that are annotated as tensors, or are tensors by default."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return dict(options)

    def meant(name: str) -> bool:
        parameter = parameters.get(name)
        return parameter is not None and (
            isinstance(parameter.default, Tensor) or "Tensor" in str(parameter.annotation)
        )

    return {name: _tensor(v) if meant(name) and _numbers(v) else v for name, v in options.items()}


def all_tensors(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """All lists of numbers as tensors; ``None`` where there is none."""
    if not any(_numbers(value) for value in options.values()):
        return None
    return {name: _tensor(value) if _numbers(value) else value for name, value in options.items()}


def _tensor(value: Any) -> Tensor:
    """Real numbers: weights are, whole ones too."""
    return torch.tensor(value, dtype=torch.get_default_dtype())


def _numbers(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(_numbers(v) or (isinstance(v, int | float) and not isinstance(v, bool)) for v in value)
    )


def following(options: Mapping[str, Any], arguments: Sequence[Any]) -> dict[str, Any]:
    """Real-valued tensors among the options in the precision of the arguments."""
    dtypes = [a.dtype for a in arguments if isinstance(a, Tensor) and a.dtype.is_floating_point]
    if not dtypes:
        return dict(options)
    return {
        name: value.to(dtypes[0]) if isinstance(value, Tensor) and value.dtype.is_floating_point else value
        for name, value in options.items()
    }
