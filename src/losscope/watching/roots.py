"""Which passes of the autograd engine are training: the roots whose gradient moves parameters."""

from typing import Any

from torch import Tensor
from torch.nn import Parameter


def is_training_gradient(outputs: Any, args: Any, kwargs: Any) -> bool:
    """Whether ``torch.autograd.grad(outputs, …)`` stands for ``loss.backward()`` in a script without it.

    It does where the loss is one number, no graph is asked for (that is a gradient penalty or an inner
    loop of meta-learning) and the inputs are parameters (else it is an attack on the inputs or a physics
    residual). ``args`` and ``kwargs`` are those of the engine behind it.
    """
    if len(outputs) != 1 or not isinstance(outputs[0], Tensor) or outputs[0].numel() != 1:
        return False
    create_graph = args[2] if len(args) > 2 else kwargs.get("create_graph", False)
    inputs = args[3] if len(args) > 3 else kwargs.get("inputs", ())
    return not create_graph and bool(inputs) and all(isinstance(i, Parameter) for i in inputs)
