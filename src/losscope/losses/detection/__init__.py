"""Losses of dense detectors, whose classes are extremely unbalanced."""
