"""Records of made-up trainings: what they keep, what the summary takes from them, and how they merge."""

import json

import numpy as np
import pytest

from harness.exercise import Published
from harness.files import sealed
from harness.files.record import Hardware, MeasurementRecord, TrainingRecord, key_of
from harness.files.summary import Machine
from harness.results.merging import Part, merge
from harness.results.records import to_case, to_record, to_training
from harness.results.store import Store
from tests import reports
from tests.made_up_runs import FIRST, RUN, SECOND, TRAININGS

ROW = RUN.curves[f"{FIRST}::test_training[sgd-lr0.01]"]
DIVERGED = RUN.curves[f"{FIRST}::test_training[sgd-lr1]"]


@pytest.mark.parametrize("case", RUN.curves)
def test_a_record_holds_the_whole_training(case):
    module, _, row = case.partition("::test_training[")
    training, found = TRAININGS[module][row.removesuffix("]")], to_training(RUN.curves[case])
    values = {**vars(training)}
    for name, array in values.pop("observed").items():
        np.testing.assert_array_equal(found.observed[name], array)
    for name, value in values.items():
        np.testing.assert_array_equal(getattr(found, name), value)
        if isinstance(value, np.ndarray):
            assert getattr(found, name).dtype == float


def test_a_record_on_disk_keeps_what_diverged(tmp_path):
    (tmp_path / "runs").mkdir()
    content = DIVERGED.model_dump(mode="json")
    path = reports.write_record(tmp_path, content)
    found = to_training(TrainingRecord.model_validate(sealed.read_content(path)))
    losses = TRAININGS[FIRST]["sgd-lr1"].train_loss
    np.testing.assert_array_equal(found.train_loss, losses)
    assert found.outcomes == ("diverged",)


def test_what_an_observer_saw_comes_back_as_numbers():
    record = DIVERGED.model_copy(update={"observed": {"stream_examples": [[0], [300]]}})
    found = to_training(record).observed["stream_examples"]
    assert found.dtype == float
    np.testing.assert_array_equal(found, [[0], [300]])


def test_a_training_has_the_hardware_of_its_record():
    assert to_training(ROW).hardware == ""
    other = ROW.model_copy(update={"hardware": Hardware(device_name="X", cores=3)})
    assert to_training(other).hardware == "X, 3 cores"
    assert to_training(other).ran_on == other.ran_on


def test_a_record_says_how_it_was_trained():
    training = TRAININGS[FIRST]["sgd-lr0.01"]
    content = to_record(
        training, threads=3, left_out={"numba": "why"}, published=Published(0.5, 2.0, "Why.")
    )
    assert (content["threads"], content["engines_left_out"]) == (3, {"numba": "why"})
    assert content["paper"] == {"test_accuracy": 0.5, "seconds": 2.0, "remark": "Why."}
    assert (content["engine"], content["seeds"], content["seconds"]) == ("numba", [0, 1, 2], 12)
    assert json.loads(json.dumps(content)) == content


def test_the_summary_has_each_curves_last_value():
    case = to_case(ROW, resumed=True, remark="Why.")
    assert case.test_accuracy == [0.9, 0.92, 0.97]
    assert case.train_accuracy == pytest.approx([0.95, 0.96, 0.985])
    assert (case.resumed, case.timing) == (True, "exclusive")
    assert (case.paper.test_accuracy, case.paper.seconds, case.paper.remark) == (0.55, 600, "Why.")
    assert case.outcomes == ["learned"] * 3
    assert case.outcome == "learned"
    assert (case.seconds, case.slowest_epoch) == (12, 1.0)
    assert case.time_to_accuracy["0.90"].epochs == [3, 2, 1]
    assert case.time_to_accuracy["0.97"].epochs == [None, None, 3]
    assert case.time_to_accuracy["0.90"].seconds == [9, 6, 3]
    assert to_case(ROW, resumed=False).paper.remark == ""


# Merging ----------------------------------------------------------------------------------------------

BIAS = {
    "id": f"{FIRST}::gradient-bias",
    "run": {**reports.RUN, "replicates": 1},
    "device": "cpu",
    "seeds": [0],
    "measured": [{"bias": 0.5}],
}
ROWS = {"small": f"{SECOND}::test_training[small]", "large": f"{SECOND}::test_training[large]"}


def part(folder, *contents, resumed=(), **machine):
    """Writes these records to a folder; returns it as a part of a merge."""
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    for content in contents:
        reports.write_record(folder, content)
    return Part(folder, Machine.model_validate({**reports.MACHINE, **machine}), frozenset(resumed))


def content(name, **changes):
    return {**RUN.curves[ROWS[name]].model_dump(mode="json"), **changes}


def test_rows_of_two_reports_are_put_together(tmp_path):
    one = part(tmp_path / "one", content("small"), BIAS)
    other = part(tmp_path / "other", content("large"))
    merged = merge([one, other])
    assert merged.records.keys() == {*ROWS.values(), BIAS["id"]}
    assert merged.origins == {
        ROWS["small"]: one.folder, BIAS["id"]: one.folder, ROWS["large"]: other.folder,
    }  # fmt: skip
    assert (merged.repeated, merged.resumed) == ([], [])
    assert all(record.get("hardware") is None for record in merged.records.values())
    merged.write(tmp_path / "merged")
    assert not (tmp_path / "merged" / "resumed.json").exists()
    found = Store(tmp_path / "merged").records().values()
    assert {record.id for record in found} == merged.records.keys()
    assert sum(isinstance(record, MeasurementRecord) for record in found) == 1


def test_losses_that_diverged_are_merged(tmp_path):
    record = DIVERGED.model_dump(mode="json")
    merged = merge([part(tmp_path / "one", record)])
    merged.write(tmp_path / "merged")
    (found,) = Store(tmp_path / "merged").records().values()
    np.testing.assert_array_equal(to_training(found).train_loss, TRAININGS[FIRST]["sgd-lr1"].train_loss)


@pytest.mark.parametrize("other", [{"device_name": "b machine"}, {"cores": 4}, {}])
def test_rows_of_unlike_machines_name_their_hardware(tmp_path, other):
    own = {"device_name": "another", "cores": 64}
    merged = merge(
        [
            part(tmp_path / "one", content("small"), BIAS),
            part(tmp_path / "other", content("large", hardware=own), **other),
        ]
    )
    mine = {"device_name": "a machine", "cores": 2}
    assert merged.records[ROWS["small"]].get("hardware") == (mine if other else None)
    assert merged.records[ROWS["large"]]["hardware"] == own
    assert "hardware" not in merged.records[BIAS["id"]]
    name = " and ".join(sorted({"a machine", other.get("device_name", "a machine")}))
    assert merged.machine["device_name"] == merged.fingerprint["device_name"] == name
    assert merged.machine["cores"] == 2
    assert {each["run"]["device_name"] for each in merged.records.values()} == {name}


def test_rows_that_were_resumed_stay_so(tmp_path):
    one = part(tmp_path / "one", content("small"), resumed=[ROWS["small"]])
    other = part(tmp_path / "other", content("small"), content("large"), resumed=[ROWS["small"]])
    merged = merge([one, other])
    assert merged.repeated == [ROWS["small"]]
    merged.write(tmp_path / "merged")
    store = Store(tmp_path / "merged")
    for name, resumed in (("small", True), ("large", False)):
        assert store.is_resumed(ROWS[name], key_of(merged.records[ROWS[name]])) is resumed


def test_reports_without_a_row_are_refused(tmp_path):
    parts = [part(tmp_path / "one"), part(tmp_path / "other"), part(tmp_path / "third")]
    with pytest.raises(ValueError, match=r"one has no record of a row; expected a report of a session$"):
        merge(parts)
    assert merge([parts[0], part(tmp_path / "fourth", BIAS)]).records.keys() == {BIAS["id"]}


def test_reports_of_other_settings_are_refused(tmp_path):
    one = part(tmp_path / "one", content("small"))
    changed = {**content("large")["run"], "scale": "paper"}
    other = part(tmp_path / "other", content("large", run=changed))
    with pytest.raises(
        ValueError, match=r"^only reports of the same settings can be merged, but scale is"
    ):
        merge([one, other])


def test_results_that_disagree_are_refused(tmp_path):
    one = part(tmp_path / "one", content("small"))
    accuracy = [[0.1], [0.92], [0.93]]
    other = part(tmp_path / "other", content("small", test_accuracy=accuracy, seconds=20.0))
    expected = (
        r"^bench/test_2_y.py::test_training\[small\] has another test_accuracy in .*other than in "
    )
    with pytest.raises(ValueError, match=expected):
        merge([one, other])
