"""Rules: each reads a recording and says what it found. One file per rule, none of them imports torch."""
