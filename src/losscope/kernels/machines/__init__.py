"""Structural risk in the space of a kernel: its minimum, for one penalty, for all, for a given norm."""
