"""Data sets: download, verification, loading, and presentation order."""
