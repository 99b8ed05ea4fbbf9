"""Every example in a docstring gives what it says."""

import doctest
from importlib import import_module

import pytest
from source_tree import sources

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = [source.module for source in sources() if ">>> " in source.text]


@pytest.mark.parametrize("module", MODULES)
def test_examples_of(module: str) -> None:
    assert doctest.testmod(import_module(module), optionflags=FLAGS).failed == 0
