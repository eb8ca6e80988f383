"""What is trained and how: data, network, experiments and the engines that run them.

Nothing in here knows of pytest; `harness` and `bench` build on it.
"""
