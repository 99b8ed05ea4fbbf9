"""How much memory an autograd graph keeps alive."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


def saved_bytes(roots: Iterable[Tensor]) -> int:
    """Bytes of the different storages that the graphs of ``roots`` have saved for their backward passes."""
    pending = [t.grad_fn for t in roots if t.grad_fn is not None]
    seen, storages = set(pending), {}
    while pending:
        node = pending.pop()
        for tensor in _saved(node):
            if tensor.layout == torch.strided:
                storage = tensor.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                pending.append(following)
    return sum(storages.values())


def _saved(node: object) -> Iterator[Tensor]:
    """Tensors that a node of torch's own saved; those of a user's ``autograd.Function`` included."""
    for name in dir(node):
        if name.startswith("_saved_") or name == "saved_tensors":
            value = getattr(node, name)
            for item in value if isinstance(value, tuple | list) else (value,):
                if isinstance(item, Tensor):
                    yield item
