"""Matrix-free matrices over the parameters (and samples) of an objective, applied to blocks of vectors.

``losscope.operators.Hessian(objective) @ vectors``; every operator is an attribute of this room.
"""

from losscope.core.registry import room

__getattr__, __dir__ = room(__name__)
