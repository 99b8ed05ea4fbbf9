"""The HTML page: one module per section, each turning a verdict and a recording into plain data."""
