"""Losses that learn from which of two answers was preferred."""
