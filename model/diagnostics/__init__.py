"""Measurements for claims besides training: gradients, symmetry of units, convexity of the loss."""
