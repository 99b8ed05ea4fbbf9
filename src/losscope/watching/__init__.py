"""Runs a script unmodified and records what its training does, within a budget of time."""
