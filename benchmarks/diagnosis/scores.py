"""Recall, top-1 accuracy and false alarms with Wilson's 95 % intervals."""

import math
from collections import Counter

import corpus
from corpus import Case

HARMED = 0.05
"""A fault is harmful where it costs this share of what the healthy program learns (its result above chance)."""


def interval(hits: int, of: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion (1927)."""
    if of == 0:
        return (0.0, 1.0)
    z, p = 1.959964, hits / of
    middle, width = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return ((middle - width) / (1 + z * z / of), (middle + width) / (1 + z * z / of))


def complaints(result: dict) -> list[str]:
    """Codes of errors and warnings, in order."""
    return [f["code"] for f in result.get("findings", []) if f["severity"] != "info"]


def harm(case: Case, results: dict[str, dict]) -> float | None:
    """Which share of the healthy program's skill is lost; 1 where the script says no number."""
    base = results.get(f"{case.program}--as_it_is", {}).get("result")
    if base is None:
        return None
    mine, chance = results[case.name].get("result"), corpus.chance(corpus.programs()[case.program])
    if mine is None or not math.isfinite(mine):
        return 1.0
    return (base - mine) / (base - chance)


def report(cases: list[Case], results: dict[str, dict]) -> dict:
    """Everything that is told, as one dictionary."""
    rows = [_row(case, results) for case in cases]
    faulty, healthy = [r for r in rows if r["codes"]], [r for r in rows if not r["codes"]]
    harmful = [r for r in faulty if r["harm"] is None or r["harm"] > HARMED]
    parts = {
        "all": lambda r: True,
        "tune": lambda r: r["part"] == "tune",
        "mixed": lambda r: r["part"] == "mixed",
        "report": lambda r: r["part"] == "report",
    }
    return {
        "faulty": {name: _hits([r for r in faulty if chosen(r)]) for name, chosen in parts.items()},
        "harmful": {name: _hits([r for r in harmful if chosen(r)]) for name, chosen in parts.items()},
        "healthy": {
            name: _alarms([r for r in healthy if chosen(r)])
            for name, chosen in parts.items()
            if name != "mixed"
        },
        "rules": dict(Counter(code for r in healthy for code in set(r["complaints"])).most_common()),
        "rows": rows,
    }


def _row(case: Case, results: dict[str, dict]) -> dict:
    found = complaints(results[case.name])
    return {
        "name": case.name, "program": case.program, "change": case.change, "part": case.part, "codes": case.codes,
        "complaints": found, "detected": bool(found), "recalled": bool(set(found) & set(case.codes)), "top": bool(found[:1]) and found[0] in case.codes,
        "result": results[case.name].get("result"), "harm": harm(case, results), "failed": results[case.name].get("failed"),
    }  # fmt: skip


def _hits(rows: list[dict]) -> dict:
    counted = {key: sum(r[key] for r in rows) for key in ("detected", "recalled", "top")}
    return {"runs": len(rows)} | {key: [n, *interval(n, len(rows))] for key, n in counted.items()}


def _alarms(rows: list[dict]) -> dict:
    alarmed = sum(r["detected"] for r in rows)
    return {"runs": len(rows), "alarmed": [alarmed, *interval(alarmed, len(rows))]}


def as_text(report: dict) -> str:
    lines = []
    for kind in ("faulty", "harmful"):
        for part, hits in report[kind].items():
            told = "  ".join(
                f"{key} {_percent(hits[key], hits['runs'])}" for key in ("detected", "recalled", "top")
            )
            lines.append(f"{kind:8s} {part:6s} {hits['runs']:4d} runs  {told}")
    for part, alarms in report["healthy"].items():
        lines.append(
            f"healthy  {part:6s} {alarms['runs']:4d} runs  alarmed {_percent(alarms['alarmed'], alarms['runs'])}"
        )
    lines += [f"false alarms by rule: {report['rules']}", ""]
    for row in report["rows"]:
        if not row["codes"] and row["complaints"]:
            lines.append(
                f"FALSE {row['name']} [{row['part']}] harm {_number(row['harm'])}: {row['complaints']}"
            )
        elif row["codes"] and not row["top"]:
            word = "BEHIND" if row["recalled"] else "OTHER" if row["complaints"] else "MISSED"
            lines.append(
                f"{word} {row['name']} [{row['part']}] harm {_number(row['harm'])}: wanted {row['codes']}, got {row['complaints']}"
            )
    return "\n".join(lines)


def _percent(value: list[float], of: int) -> str:
    return f"{100 * value[0] / max(1, of):5.1f} % [{100 * value[1]:.1f}, {100 * value[2]:.1f}]"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"
