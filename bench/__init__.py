"""The assignment's exercises, one module each, and the figures that it published."""
