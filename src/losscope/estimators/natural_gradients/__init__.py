"""Natural gradients."""
