"""How many optimisers are stepping, read off the stack: a step that failed has told nobody that it is over."""

import sys

from torch.optim.optimizer import Optimizer


def _nothing() -> None:
    """Stands for an optimiser's step."""


_STEP = Optimizer.profile_hook_step(_nothing).__code__  # of the frame that torch puts around every step


def steps_under_way(above: int = 1) -> int:
    """The number of ``optimizer.step()`` calls that this thread is inside of; ``above``: frames that are ours."""
    frame, found = sys._getframe(above), 0
    while frame is not None and found < 2:  # nobody asks for more
        found += frame.f_code is _STEP
        frame = frame.f_back
    return found
