"""Losses of games between networks; their value is not progress."""
