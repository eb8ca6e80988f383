"""A run presented: tables, figures, one page, and published runs.

Made from a report folder's files alone, at any time. May import `results`, `hardware` and the modules
beside this package.
"""
