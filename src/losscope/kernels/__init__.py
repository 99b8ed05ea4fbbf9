"""Structural risk in a reproducing kernel Hilbert space: kernels, kernel machines, and how lazy a network is.

``losscope.kernels.kernel_machine(kernel, inputs, targets, 1e-3)``; every name is an attribute of this room.
"""

from losscope.core.registry import room

__getattr__, __dir__ = room(__name__)
