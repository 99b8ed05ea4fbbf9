"""pytest: the fixture ``loss_audit``, for authors of losses.

Installed with losscope; nothing is imported until a test asks for the fixture.

    def test_my_loss(loss_audit):
        loss_audit(MyLoss(), task="multi-class", skip=["target-validation"])
"""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from losscope.checks.audit import Audit


@pytest.fixture
def loss_audit() -> "Callable[..., Audit]":
    """Audit a loss and fail the test with the report where a bug is found; gives the ``Audit`` otherwise.

    Takes what ``losscope.audit`` takes; with ``conventions=False`` a convention fails the test as well. The checks run
    in a forked child with limits on time and memory, unless ``isolate=False``.
    """

    def run(
        loss: Any,
        task: str | None = None,
        *,
        skip: Collection[str] = (),
        conventions: bool = True,
        **options: Any,
    ) -> "Audit":
        __tracebackhide__ = True
        from losscope.checks.audit import audit  # lazy: a test run that does not ask pays nothing
        from losscope.core.errors import BadUsage  # lazy: the same

        try:
            found, fault = audit(loss, task, skip=skip, **options), ""
        except BadUsage as error:
            found, fault = None, str(error)
        if found is None:  # outside of the handler: pytest would print the cause as well
            pytest.fail(f"losscope: {fault}", pytrace=False)
        if found.bugs or (found.conventions and not conventions):
            pytest.fail(found.summary(), pytrace=False)
        return found

    return run
