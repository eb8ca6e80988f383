"""MNIST and data sets of its shape: download, verification, loading, and presentation order.

Imports nothing else from `model`.
"""
