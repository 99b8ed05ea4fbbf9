"""Losses as negative log-likelihoods, one family of distributions per file."""
