"""Does a loss mean what a task says? Asked of its values: what is right must be cheaper than what is wrong.

The probes are in :mod:`losscope.checks.meanings`, by families of tasks; what they answer is in
:mod:`losscope.checks.probing`.
"""

from dataclasses import replace
from functools import cache

import torch

from losscope.checks.probing import OPEN, Probe
from losscope.checks.silence import silence
from losscope.checks.subject import Subject, as_tensor
from losscope.checks.symmetries import additive, pixelwise
from losscope.core.registry import discover
from losscope.losses.tasks import InputTask


def meaning(task: InputTask, subject: Subject) -> float:
    """How well the values of a loss agree with what a task says: ``FITS`` … ``NOT``."""
    probe = _probes().get(task.name)
    if probe is None:
        return OPEN
    with silence(), torch.no_grad():
        return probe(subject)


def reversed_meaning(task: InputTask, subject: Subject) -> float:
    """How well the values agree with a task once their sign is changed: a wrong sign is a mistake, not another task."""
    return meaning(task, replace(subject, call=lambda *case: -as_tensor(subject.call(*case))))


def consistent(subject: Subject) -> int:
    """How many symmetries the values have: a batch is the mean or the sum of its samples, pixels are exchangeable.

    A wrong shape that broadcasts breaks them; a loss that couples its samples breaks them under every reading.
    """
    with silence(), torch.no_grad():
        return additive(subject) + pixelwise(subject)


@cache
def _probes() -> dict[str, Probe]:
    """The probe of every task that has one."""
    families = discover("losscope.checks.meanings", "PROBES").values()
    return {task: probe for family in families for task, probe in family.items()}
