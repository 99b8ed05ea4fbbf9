"""Losses over sequences whose alignment is unknown."""
