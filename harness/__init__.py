"""Everything between `model` and a study such as `bench`: running, timing, gating and reporting it.

Each layer may import the layers below it, never one above:

    entry                loaded by pytest in every session; loads the plugin if there is a study
    plugin               loaded by pytest for a study
    commands             `python -m harness NAME`, one module per command
    history              steps in the results of many runs
    ab    export         a revision compared with the working tree; results for other programs
    report    gates      tables, figures, the page; comparison with saved runs
    cluster              rows that the nodes of a Ray cluster train
    results   timing     records on disk; pytest-benchmark
    engine_speeds        peers, roofline bounds, memory
    hardware             leases, and the machine
    session_settings     the checked options of a session
    study                what a folder of exercises declares
    files  run_folders   the contents of a report's JSON files; a folder for each run
    compare              statistics shared by the gates and A/B
    accuracy             comparison of trainings, for claims
    looks                the looks at a claim whose rows get more seeds until it is decided
    exercise  claim  stats  ownership  atomic_json  processes
    verdicts  paths  where  wording
"""

from importlib.util import find_spec
from pathlib import Path

_model = find_spec("model")
if _model is None or Path(str(_model.origin)).parent.parent != Path(__file__).parent.parent:
    raise ImportError(
        f"'model' is {_model and _model.origin}, not this project's package of that name; rename it"
    )
