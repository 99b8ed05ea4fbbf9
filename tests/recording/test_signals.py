"""Each signal stands for one quantity: nothing is defined twice, by constant or by name."""

import ast
from collections import Counter
from pathlib import Path

from losscope.recording import signals


def repeated(source: str) -> list[str]:
    """Constants and names of signals that a source defines more than once: the later one would win in silence."""
    found: Counter[str] = Counter()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and node.value.args:
            found.update(target.id for target in node.targets if isinstance(target, ast.Name))
            found.update([ast.literal_eval(node.value.args[0])])
    return [name for name, count in found.items() if count > 1]


def test_every_signal_is_defined_once() -> None:
    assert repeated(Path(signals.__file__).read_text(encoding="utf-8")) == []
    assert len(signals.all_signals()) > 60


def test_a_second_definition_is_noticed() -> None:
    twice = 'A = Signal("a", "1", "", "")\nA = Signal("b", "1", "", "")\nC = Signal("b", "1", "", "")\n'
    assert repeated(twice) == ["A", "b"]
