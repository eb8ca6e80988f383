"""The gates: does this run train slower, or learn worse, than saved runs? All gates give one result.

`plugin` defines the options and runs the gates: `time_gate` (decided by `slowdown`) and `accuracy_gate`
(decided by `compare.learning`). `baselines` reads the saved runs; `gate_result` presents the result.
May import `timing` and the layers below it.
"""
