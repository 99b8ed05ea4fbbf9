"""Structured approximations of curvature: block-diagonal, by layer, with Kronecker factors or diagonals."""
