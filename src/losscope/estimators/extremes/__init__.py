"""Extreme eigenvalues and eigenvectors."""
