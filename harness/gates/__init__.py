"""The gates: does this run train slower, or learn worse, than saved ones? One answer for all of them.

`plugin` has the options and asks the gates: `slowdown` and `learning` decide, from the saved runs that
`baselines` reads; `gate_result` says what was found. May import `timing`, and what is below it.
"""
