"""Files and functions stay small, and nothing is there twice."""

import ast
from collections import Counter
from statistics import median

from source_tree import Source, sources

MEDIAN_LINES = 200
FILE_LINES = 400
FUNCTION_LINES = 60
WINDOW = 8
DUPLICATED_SHARE = 0.04


def line_count(source: Source) -> int:
    return len(source.text.splitlines())


def long_functions(source: Source) -> list[str]:
    """Functions longer than the limit, counted from ``def`` to the last line, docstring included."""
    return [
        f"{source.module}:{node.lineno} {node.name} has {length} lines"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]


def windows(source: Source) -> list[tuple[str, ...]]:
    """Every run of ``WINDOW`` code lines; blank lines, comments and imports do not count."""
    imports = {
        number
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = [
        stripped
        for number, line in enumerate(source.text.splitlines(), start=1)
        if number not in imports and (stripped := line.strip()) and not stripped.startswith("#")
    ]
    return [tuple(lines[start : start + WINDOW]) for start in range(len(lines) - WINDOW + 1)]


def duplicated(files: list[Source]) -> tuple[float, Counter[str]]:
    """Share of windows that occur more than once in the whole tree, and how many each file holds."""
    by_file = {source.module: windows(source) for source in files}
    times = Counter(window for found in by_file.values() for window in found)
    repeated = Counter(
        {module: sum(times[window] > 1 for window in found) for module, found in by_file.items()}
    )
    return repeated.total() / max(1, times.total()), repeated


def test_no_file_is_too_long() -> None:
    lengths = {source.module: line_count(source) for source in sources()}
    assert {module: n for module, n in lengths.items() if n > FILE_LINES} == {}
    # Package markers hold a docstring only; counting them would flatter the median.
    assert median(line_count(s) for s in sources() if not s.is_package) <= MEDIAN_LINES


def test_no_function_is_too_long() -> None:
    assert [fault for source in sources() for fault in long_functions(source)] == []


def test_little_is_there_twice() -> None:
    share, repeated = duplicated(sources())
    assert share <= DUPLICATED_SHARE, f"{share:.1%} of the code is there twice: {repeated.most_common(8)}"


def test_the_gates_catch_what_they_are_for() -> None:
    body = "\n".join(f"    x = {n}" for n in range(FUNCTION_LINES))
    assert long_functions(Source("planted", f"def long():\n{body}\n")) != []
    assert long_functions(Source("planted", f"def short():\n{body.rpartition(chr(10))[0]}\n")) == []
    block = "\n".join(f"y{n} = {n}" for n in range(WINDOW))
    twice = [Source("one", f"import a\n{block}\n"), Source("two", f"# words\n\n{block}\nz = 1\n")]
    assert duplicated(twice) == (2 / 3, Counter({"one": 1, "two": 1}))
    assert duplicated(twice[:1])[0] == 0
