"""Losses that penalise the residuals of differential equations and conservation laws."""
