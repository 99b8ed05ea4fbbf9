"""The append-only record of one run: the only thing that rules, reports and the dashboard read."""
