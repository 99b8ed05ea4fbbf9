"""Limits on the command line: finite numbers, and one line for what is none."""

import math
from typing import Any

import click


class Finite(click.FloatRange):
    """A number of a range that is neither nan nor infinite."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number", param, ctx)
        return number
