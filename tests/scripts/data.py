"""Small real data for the scripts: scikit-learn's digits."""

import torch
from sklearn.datasets import load_digits


def digits():
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16.0, dtype=torch.float32), torch.tensor(y)
