"""Losses that a teacher network gives the targets of."""
