"""Renders a verdict and its recording for people: terminal, one HTML file, JSON, Markdown. Torch-free."""
