"""One checker per file; ``audit`` runs them on any loss."""
