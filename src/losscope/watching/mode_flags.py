"""The modes of the layers in a model, by the modules' own flags."""

from dataclasses import dataclass

from torch import nn


@dataclass(slots=True)
class Flags:
    """How many layers with a mode evaluate and train; ``alone``: one evaluates inside of a module that trains.

    Somebody has then set the layer itself, not the whole. A module around a single other one does not count: wrappers
    keep their own flag. Batch normalisation whose scale is frozen does not count among those that evaluate.
    """

    evaluating: int = 0
    norms: int = 0
    training: int = 0
    alone: bool = False

    def add(self, module: nn.Module, *, within: bool) -> None:
        """Count a module and those in it; ``within``: some module around it trains."""
        norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        if norm or (isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0):
            weight = module.__dict__.get("_parameters", {}).get("weight")
            counts = not norm or (weight is not None and weight.requires_grad)
            self.training += module.training
            self.evaluating += counts and not module.training
            self.norms += norm and counts and not module.training
            self.alone = self.alone or (within and not module.training)
        children = [c for c in module.__dict__.get("_modules", {}).values() if c is not None]
        within = within or (module.training and len(children) > 1)
        for child in children:
            self.add(child, within=within)
