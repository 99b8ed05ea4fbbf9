"""Words that every room shares. Nothing here imports torch."""
