"""Counterfactual trials: a kept stretch of training is made again, as it was and with one thing changed."""
