"""Numbers as they stand in sentences, the same in every language."""

import math
import sys

from losscope.core.text import percent

_LONG = 1e6  # from here on counts are written short


def with_error(value: float, error: float, digits: int = 4) -> str:
    """A number ± its error, without one that is below the last digit shown.

    >>> with_error(3.2281, 0.02), with_error(-2.0, 4e-16), with_error(0.0, 1e-9)
    ('3.228 ± 0.02', '-2', '0 ± 1e-09')
    """
    shown = f"{value:.{digits}g}"
    last = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1) if value else 0.0
    return shown if error <= max(last / 2, sys.float_info.min) else f"{shown} ± {error:.1g}"


def percent_with_error(share: float, error: float) -> str:
    """A share ± its error.

    >>> percent_with_error(0.25, 0.0), percent_with_error(0.25, 0.0312)
    ('25 %', '25 % ± 3.1 %')
    """
    return percent(share) if not error else f"{percent(share)} ± {percent(error)}"


def count(number: float) -> str:
    """A number of things: with separators, and above a million short.

    >>> count(1234.4), count(2.39e31), count(0.3)
    ('1,234', '2.4e+31', '0.3')
    """
    if number >= _LONG or number < 1:
        return f"{number:.2g}"
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
