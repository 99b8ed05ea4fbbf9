"""What a user may choose about one watched run."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from losscope.core.text import Language

FailOn = Literal["error", "warning", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of ``losscope run``, after command line, environment and pyproject.toml were merged.

    ``out`` is the run folder (``None``: ``.losscope/<script>-<UTC time>``), ``budget`` the allowed overhead
    in percent, ``trials`` and ``examine`` the seconds that experiments and the deep examination may take.
    ``launched`` is set in processes that a launcher or the script itself started: such a process only
    records, from its first backward pass on; the process that started it gives the verdict.
    """

    out: Path | None = None
    budget: float = 3.0
    trials: float = 10.0
    examine: float = 10.0
    fail_on: FailOn = "never"
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    baseline: Path | None = None
    lang: Language = "en"
    launched: bool = False

    def to_environment(self) -> dict[str, str]:
        """The options as ``LOSSCOPE_*`` variables, which ``losscope run`` reads again in a child process."""
        values = {
            "LOSSCOPE_BUDGET": repr(self.budget),
            "LOSSCOPE_TRIALS": repr(self.trials),
            "LOSSCOPE_EXAMINE": repr(self.examine),
            "LOSSCOPE_FAIL_ON": self.fail_on,
            "LOSSCOPE_SELECT": ",".join(self.select),
            "LOSSCOPE_IGNORE": ",".join(self.ignore),
            "LOSSCOPE_LANG": self.lang,
        }
        if self.out is not None:
            values["LOSSCOPE_OUT"] = str(self.out.absolute())
        if self.baseline is not None:
            values["LOSSCOPE_BASELINE"] = str(self.baseline.absolute())
        return values


def launched_options(environment: Mapping[str, str] = os.environ) -> RunOptions:
    """The options of a process that a watched launcher started.

    Only variables that :meth:`RunOptions.to_environment` wrote are expected. A damaged one falls back to
    its default: a child process is no place to complain about usage.
    """
    out = environment.get("LOSSCOPE_RUN", "")
    try:
        budget = float(environment.get("LOSSCOPE_BUDGET", ""))
    except ValueError:
        budget = RunOptions().budget
    lang: Language = "zh" if environment.get("LOSSCOPE_LANG") == "zh" else "en"
    return RunOptions(out=Path(out) if out else None, budget=budget, lang=lang, launched=True)
