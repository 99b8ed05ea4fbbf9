"""Which passes of the autograd engine are training: the roots whose gradient moves parameters."""

from typing import Any

from torch import Tensor
from torch.nn import Parameter


def is_training_root(outputs: Any, args: Any, kwargs: Any, *, others_seen: bool) -> bool:
    """Whether ``_engine_run_backward(outputs, *args, **kwargs)`` is a loss being minimised.

    ``loss.backward()`` always is. ``torch.autograd.grad(loss, parameters)`` is when nothing in the
    script calls ``backward``, the loss is one number, no graph is asked for (that is a gradient
    penalty or an inner loop of meta-learning) and the inputs are parameters (else it is an attack on
    the inputs or a physics residual).
    """
    if not outputs or not isinstance(outputs[0], Tensor):
        return False
    if kwargs.get("accumulate_grad"):
        return True
    if others_seen or len(outputs) != 1 or outputs[0].numel() != 1:
        return False
    create_graph = args[2] if len(args) > 2 else kwargs.get("create_graph", False)
    inputs = args[3] if len(args) > 3 else kwargs.get("inputs", ())
    return not create_graph and bool(inputs) and all(isinstance(i, Parameter) for i in inputs)
