"""Studies to start one's own from."""
