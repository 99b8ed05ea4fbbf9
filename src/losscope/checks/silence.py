"""Warnings of a loss that is only tried out are nobody's business."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silence() -> Iterator[None]:
    """No warnings within."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
