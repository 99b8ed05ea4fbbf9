"""Settings below the command line: ``LOSSCOPE_*`` variables, then ``[tool.losscope]`` in pyproject.toml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from losscope.core.errors import BadUsage


def settings(folder: Path, known: Mapping[str, str]) -> dict[str, Any]:
    """The table ``[tool.losscope]`` of the nearest pyproject.toml that has one, from ``folder`` upwards.

    Args:
        folder: where to begin, the working directory.
        known: permitted keys as users write them (``fail-on``), with the parameter each one sets.

    Returns:
        Values by parameter name, as click's ``default_map`` takes them: lists are joined by commas.

    Raises:
        BadUsage: the file cannot be parsed, or the table holds a key that does not exist.
    """
    for place in (folder, *folder.parents):
        file = place / "pyproject.toml"
        table = _table(file)
        if table is None:
            continue
        unknown = sorted(set(table) - set(known))
        if unknown:
            raise BadUsage(
                f"unknown key in [tool.losscope] of {file}",
                seen=unknown[0],
                remedy="known: " + ", ".join(known),
            )
        return {known[key]: _plain(value) for key, value in table.items()}
    return {}


def _table(file: Path) -> dict[str, Any] | None:
    try:
        content = file.read_bytes()
    except OSError:
        return None
    if b"losscope" not in content:
        return None
    import tomllib  # lazy: most folders have no table to read

    try:
        table = tomllib.loads(content.decode("utf-8")).get("tool", {}).get("losscope")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadUsage(f"{file} is not valid TOML: {error}") from None
    if table is not None and not isinstance(table, dict):
        raise BadUsage(f"tool.losscope in {file} is not a table")
    return table


def _plain(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, list) else value
