"""Everything between `bench` and `model`: running, timing, gating and reporting the exercises.

A floor may import those below it, never one above:

    plugin              what pytest loads
    noise               what the gates and A/B can see on this machine
    ab                  a revision against the working tree, in turns
    report    gates     tables, figures, the page, publishing; slower or worse than saved runs?
    results   timing    records on disk; pytest-benchmark
    hardware            leases, the machine, engine speeds
    files  run_folders  what the JSON files of a report may hold; a folder for each run
    exercise  claim  stats  significance  settings  ownership  atomic_json  processes
    paths
"""
