"""Every loss as data: one file per loss, by family, found by discovery."""
