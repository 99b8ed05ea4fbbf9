"""Divergences and entropies of distributions."""
