"""Mutation testing, by `make mutants`: whatever is changed in the code, a test has to fail.

`mutants` makes the changed sources, `trial` runs the tests on one, and `__main__` says which modules and
tests belong together. `equivalent.toml` lists the changes that no test can see, and why.
"""
