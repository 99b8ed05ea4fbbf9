"""The project's own source, as the tests of its style and structure see it."""

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
PACKAGE = SRC / "losscope"


@dataclass(frozen=True)
class Source:
    """One Python file: ``module`` is its dotted name, packages without ``.__init__``."""

    module: str
    text: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def room(self) -> str:
        """The first name below ``losscope``; empty for the root package."""
        return self.module.partition(".")[2].partition(".")[0]

    def imports(self) -> list["Import"]:
        """Every import, with relative ones resolved; those under ``if TYPE_CHECKING`` are left out."""
        return [
            Import(target, name, node.lineno, lazy)
            for node, lazy in _runtime_imports(self.tree)
            for target, name in self._targets(node)
        ]

    def _targets(self, node: ast.Import | ast.ImportFrom) -> list[tuple[str, str | None]]:
        if isinstance(node, ast.Import):
            return [(alias.name, None) for alias in node.names]
        base = node.module or ""
        if node.level:
            parts = self.module.split(".")
            kept = parts[: len(parts) - node.level + self.is_package]
            base = ".".join([*kept, *([node.module] if node.module else [])])
        return [(base, alias.name) for alias in node.names]


@dataclass(frozen=True)
class Import:
    """``from target import name`` (or ``import target``); ``lazy`` when inside a function."""

    target: str
    name: str | None
    line: int
    lazy: bool


def sources() -> list[Source]:
    """Every file of the package, sorted by module name."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(SRC).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        found.append(
            Source(
                ".".join(parts[:-1] if is_package else parts), path.read_text(encoding="utf-8"), is_package
            )
        )
    return sorted(found, key=lambda source: source.module)


def packages() -> set[str]:
    return {source.module for source in sources() if source.is_package}


def _runtime_imports(tree: ast.Module) -> list[tuple[ast.Import | ast.ImportFrom, bool]]:
    found: list[tuple[ast.Import | ast.ImportFrom, bool]] = []

    def visit(node: ast.AST, lazy: bool) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append((node, lazy))
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for child in node.orelse:
                visit(child, lazy)
            return
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(tree, lazy=False)
    return found
