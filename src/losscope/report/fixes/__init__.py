"""One-line fixes of findings, read off the user's source."""
