"""Overlap losses over masks."""
