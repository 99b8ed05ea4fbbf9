"""Losses over classes: the target is a class, a set of classes, or a distribution over them."""
