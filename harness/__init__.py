"""Everything between a study, like `bench`, and `model`: running, timing, gating and reporting it.

A floor may import those below it, never one above:

    entry               what pytest loads in every session: the plugin, where there is a study
    plugin              what pytest loads
    noise               what the gates and A/B can see on this machine
    ab                  a revision against the working tree, in turns
    report    gates     tables, figures, the page, publishing; slower or worse than saved runs?
    results   timing    records on disk; pytest-benchmark
    hardware            leases, the machine, engine speeds
    files  run_folders  what the JSON files of a report may hold; a folder for each run
    settings            the options of a session, checked
    study               what a folder of exercises declares
    exercise  claim  stats  significance  ownership  atomic_json  processes
    paths  where
"""

from importlib.util import find_spec
from pathlib import Path

_model = find_spec("model")
if _model is None or Path(str(_model.origin)).parent.parent != Path(__file__).parent.parent:
    raise ImportError(
        f"'model' is {_model and _model.origin}, and not this project's package of that name: rename it"
    )
