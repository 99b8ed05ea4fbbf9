"""One output format per file, each with a module-level ``FORMAT``; discovery finds new files by itself."""
