"""MNIST and its siblings: downloaded, checked, on a device, and in the order an epoch presents them.

Imports nothing else of `model`.
"""
