"""Surrogate losses of reinforcement learning; their value is not progress."""
