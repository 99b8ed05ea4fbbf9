"""The command line: one command per file, found by its file name. Nothing here imports torch."""
