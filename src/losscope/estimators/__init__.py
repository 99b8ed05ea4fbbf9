"""Estimates of what people ask of an operator, each with its error and its price; one algorithm per file.

``losscope.estimators.eigsh(operator, 5)``; every estimator is an attribute of this room.
"""

from losscope.core.registry import room

__getattr__, __dir__ = room(__name__)
