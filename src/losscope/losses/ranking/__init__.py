"""Losses that compare scores or embeddings with each other."""
