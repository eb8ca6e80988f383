"""Everything between a study, like `bench`, and `model`: running, timing, gating and reporting it.

A floor may import those below it, never one above:

    entry                what pytest loads in every session: the plugin, if there is a study
    plugin               what pytest loads for a study
    commands             `python -m harness NAME`, a module each
    ab                   a revision compared with the working tree, in turns
    report    gates      tables, figures, the page; slower or worse than in saved runs?
    results   timing     records on disk; pytest-benchmark
    engine_speeds        peers, the hardware's bound, memory
    hardware             leases, and the machine
    session_settings     the options of a session, checked
    study                what a folder of exercises declares
    files  run_folders   what the JSON files of a report may hold; a folder for each run
    compare              statistics that the gates and A/B share
    exercise  claim  stats  ownership  atomic_json  processes
    verdicts  paths  where  wording
"""

from importlib.util import find_spec
from pathlib import Path

_model = find_spec("model")
if _model is None or Path(str(_model.origin)).parent.parent != Path(__file__).parent.parent:
    raise ImportError(
        f"'model' is {_model and _model.origin}, and not this project's package of that name: rename it"
    )
