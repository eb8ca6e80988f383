"""Files with invalid content are refused in one line that names the file."""

import hashlib
import json
import os

import pytest

from harness import ownership
from harness.exercise import Published
from harness.files import sealed
from harness.files.record import ClaimRecord, Resumed, read_record
from harness.files.sealed import FileError
from harness.files.speeds import SpeedFile, TimesFile
from harness.files.types import ENGINE_NAMES
from harness.results.records import to_record
from harness.results.report_folder import ReportFolder
from harness.results.store import Store
from model import engines
from model.experiment import Experiment
from model.optimizers import SGD
from model.values import escaped, one_line
from tests import reports
from tests.data import made_up_training

SEEDS = (0, 1)
RUN = {**reports.RUN, "replicates": len(SEEDS)}
ID = "bench/test_1_x.py::test_training[row]"


def training():
    """Returns the content of a training's record."""
    made = made_up_training(Experiment(optimizer=SGD(0.1), batch_size=1, epochs=2), SEEDS)
    return {
        "id": ID,
        "run": dict(RUN),
        "experiment": made.experiment.to_dict(),
        **to_record(made, threads=1, left_out={}, published=Published(0.9, 10)),
    }


def measurement():
    return {
        "id": "bench/test_1_x.py::streams",
        "run": dict(RUN),
        "device": "cpu",
        "seeds": list(SEEDS),
        "measured": [{"shared": 1}, {"shared": 0.5}],
    }


def claim():
    return ClaimRecord(
        run=RUN,
        id="bench/test_1_x.py::test_so",
        text="So it is.",
        source="Table 1",
        verdict="reproduced",
        evidence="Seen.",
    ).model_dump()


@pytest.fixture
def report(tmp_path):
    """An empty report folder."""
    folder = tmp_path / "report"
    ownership.make(folder)
    Store(folder).create()
    return folder


def refusal(folder):
    """Returns the line with which --resume refuses the folder; checks that it changes nothing."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(pytest.UsageError) as error:
        ReportFolder(folder, fingerprint=RUN, resume=True)
    (line,) = str(error.value).splitlines()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    return line


def at(content, place):
    *parents, last = place
    for each in parents:
        content = content[each]
    return content, last


CURVE = ("test_accuracy", 1, 0)
LOSS = ("train_loss", 1, 0)
INVALID_TRAININGS = [
    (CURVE, 5.0, "less than or equal to 1"),
    (CURVE, -0.1, "greater than or equal to 0"),
    (CURVE, "NaN", "valid number"),
    (CURVE, "0.5", "valid number"),
    (CURVE, None, "valid number"),
    (CURVE, True, "valid number"),
    (LOSS, "many", "valid number"),
    (("test_accuracy", 1), [0.5], "test_accuracy does not have shape (3, 2)"),
    (("train_loss",), [[0, 0]], "train_loss does not have shape (3, 2)"),
    (("predictions", 0), [1], "predictions does not have shape (10, 2)"),
    (("observed", "unit_spread", 0), [1], "observed.unit_spread: its lists differ in length"),
    (("observed", "unit_spread"), [[1], [2]], "observed.unit_spread does not have shape (..., 2)"),
    (("observed", "unit_spread", 0, 1), "many", "observed.unit_spread: expected numbers"),
    (("observed", "unit_spread"), 7, "observed.unit_spread: Input should be a valid list"),
    (("epoch_seconds",), [0, -5, 0], "greater than or equal to 0"),
    (("epoch_seconds",), [1, 0, 0], "from 0 to seconds"),
    (("epoch_seconds",), [0, 0, 1], "from 0 to seconds"),
    (("epoch_seconds",), [0, 1, 0], "epoch_seconds decreases"),
    (("seconds",), -5, "greater than or equal to 0"),
    (("seconds",), "Infinity", "valid number"),
    (("seconds",), 7, "from 0 to seconds"),
    (("prepare_seconds",), None, "valid number"),
    (("seeds",), "abc", "valid list"),
    (("seeds",), [0, 0], "a seed occurs twice"),
    (("seeds",), [], "at least 1 item"),
    (("seeds",), [0, 1, 2], "3 seeds, but 2 replicates"),
    (("seeds", 0), 0.5, "valid integer"),
    (("added",), 7, "added: Input should be a valid list"),
    (("added",), [{}], "added.0.seeds: Field required"),
    (("added",), [{"seeds": [0], "seconds": 1.0}], "seeds does not end with the added ones, [0]"),
    (("added",), [{"seeds": [1], "seconds": 1.0}], "it has 1 seed, but 2 replicates"),
    (("added",), [{"seeds": [1], "seconds": -1.0}], "greater than or equal to 0"),
    (("outcomes",), ["learned"], "outcomes does not have shape (2,)"),
    (("outcomes", 0), "won", "learned"),
    (("engine",), "<script>", "engine: expected one of cluster, numba, cuda-graph, eager"),
    (("device",), "tpu", "device: String should match pattern"),
    (("steps",), 0, "greater than or equal to 1"),
    (("steps",), 3, "3 steps do not divide evenly into 2 epochs"),
    (("threads",), "1", "valid integer"),
    (("paper",), {}, "paper.test_accuracy: Field required"),
    (("paper", "test_accuracy"), 7, "less than or equal to 1"),
    (("experiment", "epochs"), 999, "epoch_seconds does not have shape (1000,)"),
    (("experiment", "optimizer", "learning_rate"), 0.2, "its content belongs in test_1_x.row."),
    (("experiment", "optimizer", "learning_rate"), "fast", "experiment: learning_rate is 'fast'"),
    (("experiment", "optimizer", "learning_rate"), -1, "experiment: learning_rate is -1"),
    (("experiment", "optimizer"), "sgd", "experiment: optimizer is 'sgd'; expected a class and its"),
    (("experiment", "optimizer"), {"class": "SGD"}, "experiment: SGD has no learning_rate"),
    (("experiment", "optimizer", "class"), "Sgd", "no optimizer is called 'Sgd'; expected one of SGD"),
    (("experiment", "optimizer", "betas"), 1, "SGD has no setting 'betas'; expected one of learning"),
    (("experiment", "momentum"), 0.9, "experiment: no setting is called 'momentum'; expected"),
    (("experiment", "dataset"), "cifar10", "experiment: dataset is 'cifar10'; expected one of mnist,"),
    (
        ("experiment", "network", "sizes", 0),
        700,
        "network has 700 inputs; expected 784 for mnist",
    ),
    (
        ("experiment", "schedule"),
        {},
        "schedule is {}; expected scheduler, options and every",
    ),
    (("experiment",), None, "experiment"),
    (("experiment",), "sgd", "experiment"),
    (("id",), "bench/test_1_x.py::test_training[other]", "its content belongs in test_1_x.other."),
    (("id",), "\x1b[31m", "cannot be printed"),
    (("id",), 7, "valid string"),
    (("run",), None, "run"),
    (("run",), {}, "run.scale: Field required"),
    (("run", "scale"), "\x1b[31m", "run.scale: String should match pattern"),
    (("run", "replicates"), -1, "greater than or equal to 1"),
    (("run", "code"), "Z" * 100, "run.code: String should match pattern"),
]


@pytest.mark.parametrize(("place", "value", "reason"), INVALID_TRAININGS)
def test_an_invalid_training_is_refused(report, place, value, reason):
    path = reports.write_record(report, training())
    content = sealed.read_content(path)
    parent, last = at(content, place)
    parent[last] = value
    sealed.write_content(path, content)
    line = refusal(report)
    assert line.startswith(f"--resume: {path} cannot be read: ")
    assert reason in line


@pytest.mark.parametrize(
    "numbers",
    [[["NaN", "Infinity"], ["-Infinity", 1e308]], [[0, 1], [2.5, -3]]],
    ids=["not finite", "finite"],
)
@pytest.mark.parametrize("name", ["train_loss", "test_loss", "unit_spread"])
def test_losses_may_be_infinite_or_nan(report, name, numbers):
    changed = {name: [[0, 0], *numbers]}  # after the first epoch's
    changed = {"observed": {name: numbers}} if name == "unit_spread" else changed
    reports.write_record(report, {**training(), **changed})
    ReportFolder(report, fingerprint=RUN, resume=True).close()


INVALID_MEASUREMENTS = [
    (("measured",), [{}], "measured does not have shape (2,)"),
    (("measured", 0), 1, "valid dictionary"),
    (("measured",), None, "valid list"),
    (("seeds",), [1, 1], "a seed occurs twice"),
]


@pytest.mark.parametrize(("place", "value", "reason"), INVALID_MEASUREMENTS)
def test_an_invalid_measurement_is_refused(report, place, value, reason):
    content = measurement()
    parent, last = at(content, place)
    parent[last] = value
    assert reason in refusal_of(report, content)


def test_a_record_is_read_as_its_kind(report):
    earlier = training()  # from before engines_left_out existed
    del earlier["engines_left_out"]
    assert read_record(reports.write_record(report, earlier)).engines_left_out == {}
    assert read_record(reports.write_record(report, measurement())).measured[1] == {"shared": 0.5}


def test_a_report_has_at_most_100000_records():
    assert Resumed(records=["a"] * 100_000)
    with pytest.raises(ValueError, match="at most 100000 items"):
        Resumed(records=["a"] * 100_001)


def refusal_of(report, content):
    path = reports.write_record(report, content)
    line = refusal(report)
    assert str(path) in line
    return line


INVALID_CLAIMS = [
    (("verdict",), "proved", "verdict: Input should be 'reproduced'"),
    (("verdict",), None, "verdict"),
    (("evidence",), "x" * 10**4, "at most 5000 characters"),
    (("evidence",), "\x1b]0;owned\x07", "cannot be printed"),
    (("rows",), [1], "valid string"),
    (("run",), None, "run"),
    (("run", "scale"), "paper", "its content belongs in test_1_x.test_so."),
    (("id",), "bench/test_2_y.py::test_so", "its content belongs in test_2_y.test_so."),
]


@pytest.mark.parametrize(("place", "value", "reason"), INVALID_CLAIMS)
def test_an_invalid_claim_is_refused(report, place, value, reason):
    content = claim()
    Store(report).put_claim(ClaimRecord(**content))
    (path,) = (report / "claims").iterdir()
    parent, last = at(content, place)
    parent[last] = value
    sealed.write_content(path, content)
    line = refusal(report)
    assert str(path) in line
    assert reason in line


def test_a_claim_of_another_run_is_refused(report):
    Store(report).put_claim(ClaimRecord(**{**claim(), "run": {**RUN, "code": "ab"}}))
    assert "differs: code is ab there, 0123456789ab here" in refusal(report)


DAMAGE = {
    "empty": (lambda text: "", "Expecting value"),
    "cut": (lambda text: text[: len(text) // 2], "cannot be read"),
    "a list": (lambda text: "[]", "it does not hold a JSON object"),
    "null": (lambda text: "null", "it does not hold a JSON object"),
    "no checksum": (lambda text: '{"id": "x"}', "it has no checksum"),
    "an edit": (lambda text: text.replace("Table", "table"), "its checksum does not match its content"),
    "a key": (lambda text: text.replace('"run"', '"ran"'), "its checksum does not match its content"),
    "bytes": (lambda text: "\xff" + text, "can't decode byte"),
    "200,000 brackets": (lambda text: "[" * 200_000, "it is nested too deeply"),
    "200,000 braces": (lambda text: '{"a":' * 200_000, "it is nested too deeply"),
    "10**400": (lambda text: text.replace(": 2,", f": {10**400},"), "is too large a number"),
    "1e400": (lambda text: text.replace(": 2,", ": 1e400,"), "1e400 is too large a number"),
    "10**5000": (lambda text: text.replace(": 2,", f": 1{'0' * 5000},"), "is too large a number"),
    "a bare NaN": (lambda text: text.replace(": 2,", ": NaN,"), "NaN is not JSON"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("kind", ["runs", "claims"])
def test_a_damaged_file_is_refused_and_kept(report, kind, damage, reason):
    reports.write_record(report, {**training(), "engines_left_out": {"numba": "Table"}})
    Store(report).put_claim(ClaimRecord(**claim()))
    (path,) = (report / kind).iterdir()
    damaged = damage(path.read_text())
    assert damaged != path.read_text()
    path.write_text(damaged, encoding="latin-1")
    line = refusal(report)
    assert line.startswith(f"--resume: {path} cannot be read: ")
    assert reason in line


@pytest.mark.parametrize(
    ("make", "reason"), [(os.mkfifo, "it is not a regular file"), (os.mkdir, "Is a directory")]
)
def test_a_file_that_is_not_regular_is_refused(report, make, reason):
    """Opening a pipe would wait for a writer."""
    make(report / "runs" / "odd.json")
    assert f"odd.json cannot be read: {reason}" in refusal(report)


def test_a_file_over_the_limit_is_refused(tmp_path):
    path = tmp_path / "large.json"
    sealed.write_content(path, {"text": "x" * 1000})
    size = path.stat().st_size
    assert sealed.read_content(path, max_bytes=size)
    with pytest.raises(FileError, match=r"it has more than 0\.000\d+ MiB$"):
        sealed.read_content(path, max_bytes=size - 1)
    path.write_bytes(b"")
    os.truncate(path, 2**40)
    with pytest.raises(FileError, match="it has more than 64 MiB"):
        sealed.read_content(path)


def test_escape_sequences_in_a_file_name_are_escaped(tmp_path):
    with pytest.raises(FileError) as error:
        sealed.read_content(tmp_path / "\x1b[2J\n.json")
    assert "\\x1b[2J .json cannot be read" in str(error.value)


def test_an_error_without_a_number_is_reported_by_its_text(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("odd")

    monkeypatch.setattr(sealed.atomic_json, "write_json", fail)
    monkeypatch.setattr(sealed, "read_bytes", fail)
    with pytest.raises(FileError, match=r"a\.json could not be written: odd$"):
        sealed.write_content(tmp_path / "a.json", {})
    with pytest.raises(FileError, match=r"a\.json cannot be read: odd$"):
        sealed.read_content(tmp_path / "a.json")


def test_characters_that_cannot_be_printed_are_escaped():
    assert escaped("a\x1b[2J\u202eé") == "a\\x1b[2J\\u202eé"


def test_a_message_is_cut_after_500_characters():
    assert one_line("x" * 500) == "x" * 500
    assert one_line("x" * 501) == "x" * 500 + "…"


@pytest.mark.parametrize("number", [9_999_999_999_999_999_999, -9_999_999_999_999_999_999, 0.1, 1e308])
def test_numbers_are_read_back_unchanged(tmp_path, number):
    sealed.write_content(tmp_path / "a.json", {"number": number})
    assert sealed.read_content(tmp_path / "a.json") == {"number": number}


@pytest.mark.parametrize(
    ("digits", "reason"),
    [
        ("1" + "0" * 19, "10000000000000000000… is too large a number"),
        ("-" + "1" * 30, "-1111111111111111111… is too large a number"),
        ("2" * 400 + ".5", "22222222222222222222 is too large a number"),
    ],
)
def test_numbers_too_large_are_named_by_their_first_digits(tmp_path, digits, reason):
    path = tmp_path / "a.json"
    path.write_text(f'{{"number": {digits}}}')
    with pytest.raises(FileError) as error:
        sealed.read_content(path)
    assert str(error.value) == f"{path} cannot be read: {reason}"


def test_a_checksum_covers_the_content_with_sorted_names(tmp_path):
    sealed.write_content(tmp_path / "a.json", {"b": 1, "a": [1.5, "é"]})
    stated = json.loads((tmp_path / "a.json").read_text())["checksum"]
    assert stated == hashlib.sha256(b'{"a":[1.5,"\\u00e9"],"b":1}').hexdigest()[:16]


def test_a_file_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "folder").touch()
    with pytest.raises(FileError) as error:
        sealed.write_content(tmp_path / "folder" / "a.json", {})
    assert str(error.value) == f"{tmp_path}/folder/a.json could not be written: Not a directory"


def test_layout_and_order_do_not_matter_to_a_checksum(tmp_path):
    path = tmp_path / "a.json"
    sealed.write_content(path, {"a": 1.5, "b": ["Infinity", None]})
    content = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(content.items()))))
    assert sealed.read_content(path) == {"a": 1.5, "b": ["Infinity", None]}


def test_the_names_are_those_of_the_engines():
    assert ENGINE_NAMES == tuple(engine.NAME for engine in engines.ENGINES)


TIMES = {
    "machine": reports.MACHINE,
    "workers": 2,
    "rounds": 3,
    "rows": [{"case": "x", "serial": 1.0, "parallel": 1.5, "ratio": 1.5}],
    **dict.fromkeys(("median", "lowest", "highest"), 1.5),
}


@pytest.mark.parametrize(
    ("kind", "content", "place", "value", "reason"),
    [
        (SpeedFile, reports.speed(), ("rows", 0, "us_per_step"), 0, "rows.0.us_per_step"),
        (SpeedFile, reports.speed(), ("rows", 0, "us_per_step"), "Infinity", "valid number"),
        (SpeedFile, reports.speed(), ("rows", 0, "engine"), "steam", "expected one of"),
        (SpeedFile, reports.speed(), ("rows", 0, "replicates"), -1, "rows.0.replicates"),
        (SpeedFile, reports.speed(), ("machine",), {}, "machine.device: Field required"),
        (TimesFile, TIMES, ("rows",), [], "at least 1 item"),
        (TimesFile, TIMES, ("median",), -1, "greater than 0"),
        (TimesFile, TIMES, ("machine", "gpus"), {}, "machine.gpus"),
        (Resumed, {"records": []}, ("records",), "all", "valid list"),
        (Resumed, {"records": ["a"]}, ("records", 0), None, "valid string"),
    ],
)
def test_other_invalid_files_are_refused(tmp_path, kind, content, place, value, reason):
    path = tmp_path / "a.json"
    sealed.write_content(path, content)
    assert sealed.read_model(path, kind)
    content = sealed.read_content(path)
    parent, last = at(content, place)
    parent[last] = value
    sealed.write_content(path, content)
    with pytest.raises(FileError) as error:
        sealed.read_model(path, kind)
    assert str(error.value).startswith(f"{path} cannot be read: ")
    assert reason in str(error.value)
