"""How noisy stochastic gradients are, and which batch size that asks for."""
