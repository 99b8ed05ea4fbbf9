"""Kernels, targets and networks compared: alignment, complexity, finite width, laziness."""
