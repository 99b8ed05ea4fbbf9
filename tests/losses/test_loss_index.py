"""The index, which is read from the text of the files, says what the contracts say."""

import pytest

from losscope.losses import index
from losscope.losses.catalogue import specs


def test_every_entry_is_that_of_its_contract() -> None:
    assert list(index.entries()) == list(specs())
    for name, spec in specs().items():
        entry = index.entries()[name]
        assert (entry.name, entry.family, entry.title, entry.range, entry.also) == (
            spec.name, spec.family, spec.title, spec.range, spec.also,
        )  # fmt: skip
        callables = (spec.function, spec.module)
        assert entry.callables == tuple(f.__name__ for f in callables if f is not None), name


def test_what_is_not_plain_is_no_entry() -> None:
    """A planted contract whose range nobody can tell from the files."""
    with pytest.raises(NameError):
        index._entry('\nSPEC = LossSpec(\n    name="x", family="y", title="z", range=(0, nowhere()),\n)\n')
