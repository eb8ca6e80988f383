"""A/B: a revision against the working tree, in turns, on one machine, in one run.

`command` is what `python -m harness ab` runs. `selection` asks pytest which rows; `worktree` makes the
base; `worker` is the code that trains in either, `side` talks to it; `turns` has both take turns;
`decision` says what their ratios mean, `report` writes it down.
"""
