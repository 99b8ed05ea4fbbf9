"""An objective rebuilt from what a watch saw of one update: modules called, their inputs, what the loss came of."""
