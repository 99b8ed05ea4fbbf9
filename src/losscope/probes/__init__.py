"""What is measured while training runs: one probe per file, each turns a live update into signals."""
