"""Objectives as structural risk: the mean loss of a model over data, and a penalty."""
