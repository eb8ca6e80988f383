"""The engine `numba`: an epoch as one compiled loop, on CPUs."""
