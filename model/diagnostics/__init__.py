"""Measurements for claims besides training: gradients, symmetry of units, convexity of the loss.

Imports engines, data and network, nothing from `harness`.
"""
