"""losscope reads the compass of a learning system.

Public names are loaded when they are first used, so that ``import losscope`` costs
milliseconds and does not import torch.
"""

from importlib import import_module

TYPE_CHECKING = False  # importing typing for this would be most of the cost of `import losscope`
if TYPE_CHECKING:
    from losscope import estimators as estimators
    from losscope import kernels as kernels
    from losscope import losses as losses
    from losscope import operators as operators
    from losscope.anatomy.read import read as read
    from losscope.checks.audit import audit as audit
    from losscope.examination.examine import examine as examine
    from losscope.objective.objective import Objective as Objective
    from losscope.watching.session import watch as watch

__version__ = "0.1.0"

_PUBLIC = {
    "Objective": "losscope.objective.objective",
    "examine": "losscope.examination.examine",
    "audit": "losscope.checks.audit",
    "read": "losscope.anatomy.read",
    "watch": "losscope.watching.session",
}

_ROOMS = ("estimators", "kernels", "losses", "operators")

__all__ = [
    "Objective",
    "__version__",
    "audit",
    "estimators",
    "examine",
    "kernels",
    "losses",
    "operators",
    "read",
    "watch",
]


def __getattr__(name: str) -> object:
    if name in _PUBLIC:
        value = getattr(import_module(_PUBLIC[name]), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return import_module(f"losscope.{name}")
    raise AttributeError(f"module 'losscope' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC, *_ROOMS])
