"""What claims measure besides training: gradients, the symmetry of units, the shape of the loss.

Imports engines, data and network; nothing of `harness`.
"""
