"""`--cluster`: rows that are trained by the nodes of a Ray cluster.

`driver` runs in the session's controlling process, which has the only connection: it submits rows in
`blocks` of seeds and passes their records on as they come. `task` runs on the nodes, and reports to the
`board`. Only functions that need Ray import it, since it is an extra.
"""
