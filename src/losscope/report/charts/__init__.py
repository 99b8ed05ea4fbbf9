"""Charts as SVG strings, made by pure functions of numbers."""
