"""Losses of output layers that are too large to hold the scores of a whole batch."""
