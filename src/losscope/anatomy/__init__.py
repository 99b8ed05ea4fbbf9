"""Reads an objective off the autograd graph of a live loss tensor."""
