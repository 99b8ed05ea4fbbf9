"""Spectral densities, and traces of functions of an operator."""
