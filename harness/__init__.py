"""Everything between `bench` and `model`: running, timing, gating and reporting the exercises.

A floor may import those below it, never one above:

    plugin              what pytest loads
    report              tables, figures, the page, publishing
    results   timing    records on disk; pytest-benchmark
    hardware            leases, the machine, engine speeds
    files               what the JSON files of a report may hold
    exercise  claim  stats  settings  ownership  atomic_json
    paths
"""
