"""Faults by family, one file each."""
