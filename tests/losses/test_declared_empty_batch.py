"""What a loss does with an empty batch is declared wherever it is not a number, and nowhere else."""

import pytest

from losscope.checks.check import all_checks
from losscope.checks.engine import execute
from losscope.checks.subject import catalogue_subject
from losscope.losses.catalogue import specs

CHECKED = sorted(name for name, spec in specs().items() if spec.function is not None and spec.arguments)


@pytest.mark.parametrize("name", CHECKED)
def test_the_declaration_says_what_happens(name: str) -> None:
    spec = specs()[name]
    outcomes = {e.outcome for e in execute(all_checks()["empty-batch"], catalogue_subject(spec))}
    if "empty-batch" in spec.exceptions:
        assert outcomes == {"declared"}, f"{name} declares what it does not do"
    else:
        assert outcomes <= {"pass", "not-applicable"}, f"{name} does not declare what it does"


def test_losses_of_torch_declare_it_in_the_same_words() -> None:
    of_torch = [
        specs()[name] for name in CHECKED if str(specs()[name].function.__module__).startswith("torch")
    ]
    said = {spec.exceptions.get("empty-batch") for spec in of_torch} - {None}
    refuses = specs()["ctc"].exceptions["empty-batch"]  # an error, not a NaN
    assert said == {"as PyTorch does everywhere", refuses}
