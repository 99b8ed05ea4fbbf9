"""What an examination looks at, one look per file."""
