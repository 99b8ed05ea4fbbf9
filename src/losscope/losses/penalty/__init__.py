"""Terms of the objective that depend on the parameters alone."""
