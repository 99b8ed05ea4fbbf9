"""Statistics that rules rest on, one method per file; every one is scale-free and tested for its error rate."""
