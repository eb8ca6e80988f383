"""A/B: compares a revision with the working tree, taking turns, on one machine, in one run.

`selection` asks pytest which rows to compare; `worktree` checks out the base; `payload` is the code that
trains in either checkout and `side` talks to it; `turns` has both sides take turns; `comparison` runs
passes over the rows; `decision` interprets their ratios; `provenance` describes the sides, and `output`
writes the result. `bisection` finds the commit that made a row worse, with comparisons as its judge.
"""
