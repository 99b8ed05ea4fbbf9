"""An objective rebuilt from what a watch saw of one update: modules called, their inputs, and how the loss came of it."""
