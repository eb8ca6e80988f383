"""The data, the network, the experiments, and the engines that train them.

Nothing here depends on pytest; `harness` and `bench` build on it.
"""
