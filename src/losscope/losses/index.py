"""What the catalogue holds by name, read from the text of its files: an answer that needs no torch.

Each file of a loss states its contract as ``SPEC = LossSpec(name=…, …)``; names, family, title and range are plain
there. The tests compare every entry with the contract itself.
"""

import ast
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from losscope.core.errors import BadUsage

_HERE = Path(__file__).parent
_BEGINS = "\nSPEC = LossSpec("


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A loss by name; ``callables`` are the names of its function and its module, ``also`` what people call it."""

    name: str
    family: str
    title: str
    range: tuple[float, float]
    callables: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


@cache
def entries() -> dict[str, Entry]:
    """Every loss by name, in the order of the families.

    >>> entries()["cross_entropy"].callables
    ('cross_entropy', 'CrossEntropyLoss')
    """
    files = sorted(_HERE.glob("*/*.py"))
    found = [_entry(text) for file in files if _BEGINS in (text := file.read_text(encoding="utf-8"))]
    return {entry.name: entry for entry in sorted(found, key=lambda entry: (entry.family, entry.name))}


def _entry(text: str) -> Entry:
    """The first statement that begins like a contract, without what goes before."""
    start = text.index(_BEGINS) + 1
    node = ast.parse(text[start : text.index("\n)", start) + 2]).body[0]
    assert isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
    given = {str(keyword.arg): keyword.value for keyword in node.value.keywords}
    callables = (ast.unparse(given[key]) for key in ("function", "module") if key in given)
    return Entry(
        **{
            key: _value(given[key], text)
            for key in ("name", "family", "title", "range", "also")
            if key in given
        },
        callables=tuple(name.rpartition(".")[2] for name in callables if name != "None"),
    )


def _value(node: ast.expr, text: str) -> Any:
    """Of an expression in our own files: constants, what ``math`` holds, and constants of files that it imports."""
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - {"math"}
    known = {"math": math, "__builtins__": {}, **{name: _constant(name, text) for name in names}}
    return eval(compile(ast.Expression(node), "<contract>", "eval"), known)


def _constant(name: str, text: str) -> Any:
    """A number that a file of the catalogue takes from another one: ``from losscope.losses.… import NAME``."""
    source = re.search(rf"^from losscope\.losses\.([\w.]+) import .*\b{name}\b", text, re.MULTILINE)
    if source is not None:
        text = (_HERE / f"{source[1].replace('.', '/')}.py").read_text(encoding="utf-8")
    stated = re.search(rf"^{name} = (.+)$", text, re.MULTILINE)
    if stated is None:
        raise NameError(name)
    return ast.literal_eval(stated[1])


def families() -> list[str]:
    """The families of the catalogue, in order."""
    return list(dict.fromkeys(entry.family for entry in entries().values()))


def called(name: str) -> str:
    """The name of the loss that is called so, however its function, its module or the field call it.

    Raises :class:`losscope.core.errors.BadUsage` for an unknown name, and for what is no text.

    >>> called("nn.BCEWithLogitsLoss"), called("RNN-T"), called("focal loss")
    ('binary_cross_entropy_with_logits', 'transducer', 'focal')
    """
    if not isinstance(name, str):
        raise BadUsage(
            "a loss is named by a text", seen=repr(name)[:60], remedy='for example "cross_entropy"'
        )
    spelled = name.strip().lower().replace("-", "_").replace(" ", "_")
    if spelled in entries():
        return spelled
    if (key := _letters(name)) in (other := _other_names()):
        return other[key]
    near = _near(key)
    remedy = f"did you mean {', '.join(near)}?" if near else "`losscope losses` lists every loss"
    raise BadUsage("no loss has this name", seen=name, remedy=remedy)


def _letters(name: str) -> str:
    """A name without its module, its punctuation and the word "loss": what people agree about."""
    letters = "".join(c for c in name.strip().rsplit(".", 1)[-1].lower() if c.isalnum())
    return letters.removesuffix("loss") or letters


@cache
def _other_names() -> dict[str, str]:
    """The loss that each name belongs to; a name's first owner keeps it, and its own name comes first."""
    ranks: tuple[Callable[[Entry], tuple[str, ...]], ...] = (
        lambda entry: (entry.name,),
        lambda entry: entry.callables,
        lambda entry: entry.also,
        lambda entry: (entry.title,),
    )
    found: dict[str, str] = {}
    for names in ranks:
        for entry in entries().values():
            for name in names(entry):
                found.setdefault(_letters(name), entry.name)
    return found


def _near(key: str) -> list[str]:
    """Up to three losses with a similar name, or with this word in one of their names."""
    other = _other_names()
    holding = [name for name in other if len(key) > 2 and key in name]
    close = [*get_close_matches(key, other, n=6, cutoff=0.6), *sorted(holding, key=len)]
    return list(dict.fromkeys(other[name] for name in close))[:3]


def interval(bounds: tuple[float, float]) -> str:
    """A range as people write it, the upper bound first named: [0, ∞)."""
    low, high = bounds
    left = "(−∞" if math.isinf(low) else f"[{low:g}".replace("-", "−")
    right = "∞)" if math.isinf(high) else f"{high:g}]".replace("-", "−")
    return f"{left}, {right}"
