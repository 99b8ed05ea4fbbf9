"""Numbers as people read them: three significant digits, no exponent where it can be avoided."""


def readable(value: float) -> str:
    """``0.0488``, ``2.31``, ``12,346``, ``1.2e+09``.

    >>> readable(0.04876), readable(12345.6), readable(-3.0)
    ('0.0488', '12,346', '-3')
    """
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"


def percent(share: float) -> str:
    """A share as a percentage, two significant digits below ten percent.

    >>> percent(0.0213), percent(2.34)
    ('2.1', '234')
    """
    value = 100 * share
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"
