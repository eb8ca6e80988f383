"""What a run leaves on disk: records, the report folder, the summary, and the run's fingerprint.

May import `hardware` and the modules beside this package.
"""
