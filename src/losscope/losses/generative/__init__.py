"""Losses of generative models: diffusion, flows, variational bounds, images."""
