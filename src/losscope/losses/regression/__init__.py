"""Losses over real-valued or counted targets."""
