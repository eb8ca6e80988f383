"""Mutation testing, run by `make mutants`: any small change in the code has to fail a test.

`mutants` generates the changed sources, `trial` runs the tests on one, and `__main__` maps modules to
their tests. `equivalent.toml` lists the changes that no test can detect, and why.
"""
