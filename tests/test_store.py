"""The records of a report folder: what is made once, extended, asked for, and refused."""

import shutil

import pytest
import torch

from harness import run_folders
from harness.files.record import ClaimRecord, MeasurementRecord, TrainingRecord, key_of
from harness.files.sealed import FileError
from harness.files.weights import SavedNetwork, read_network
from harness.results.store import Store
from tests.made_up_runs import FIRST, RUN, claim

ROW = RUN.curves[f"{FIRST}::test_training[adam-lr0.01]"]  # of two seeds
CONTENT = ROW.model_dump(mode="json")
KEY = key_of(CONTENT)
BIAS = f"{FIRST}::gradient-bias"
BIAS_KEY = {"run": KEY["run"]}
DECIDED = ClaimRecord(run=ROW.run, **claim(FIRST, "so", "reproduced").model_dump())
MEASURED = {"device": "cpu", "seeds": [0, 1], "measured": [{"bias": 0.5}, {"bias": 0.25}]}


@pytest.fixture
def report(tmp_path):
    """A report folder with a run's name."""
    return tmp_path / "2026-01-02_03-04-05.678"


@pytest.fixture
def store(report):
    found = Store(report)
    found.create()
    return found


def never():
    raise AssertionError("the record was made a second time")


def test_a_record_is_made_once(store):
    assert store.find(TrainingRecord, ROW.id, KEY) is None
    made = store.get_or_make(TrainingRecord, ROW.id, KEY, lambda: CONTENT)
    assert made == ROW
    assert store.get_or_make(TrainingRecord, ROW.id, KEY, never) == ROW
    assert store.find(TrainingRecord, ROW.id, KEY) == ROW
    assert [*store.records().values()] == [ROW]


def test_a_record_is_found_by_its_key_alone(store):
    store.put(ROW.id, KEY, CONTENT)
    other = {**KEY, "run": {**KEY["run"], "code": "ab"}}
    assert store.find(TrainingRecord, ROW.id, other) is None
    assert store.find(TrainingRecord, f"{FIRST}::test_training[other]", KEY) is None


def test_a_record_is_of_the_kind_that_is_asked_for(store):
    found = store.get_or_make(MeasurementRecord, BIAS, BIAS_KEY, lambda: MEASURED)
    assert found.measured == MEASURED["measured"]
    with pytest.raises(FileError, match=r"cannot be read: it is not a TrainingRecord$"):
        store.find(TrainingRecord, BIAS, BIAS_KEY)


@pytest.mark.parametrize(("seeds", "extended"), [(1, False), (2, False), (3, True)])
def test_a_record_is_extended_to_more_seeds_than_it_has(store, seeds, extended):
    store.get_or_make(MeasurementRecord, BIAS, BIAS_KEY, lambda: MEASURED)
    more = {"device": "cpu", "seeds": [0, 1, 2], "measured": [*MEASURED["measured"], {"bias": 0.125}]}
    seen = []

    def make(record):
        seen.append(record.seeds)
        return more

    found = store.extend(MeasurementRecord, BIAS, BIAS_KEY, seeds, make)
    assert seen == ([[0, 1]] if extended else [])
    assert len(found.measured) == (3 if extended else 2)
    assert store.find(MeasurementRecord, BIAS, BIAS_KEY) == found


def test_a_record_is_locked_while_it_is_made_or_extended(store, report):
    held = []

    def make(*_):
        held.extend(path.name for path in (report / "locks").glob("test_1_x.gradient-bias.*.lock"))
        return MEASURED

    store.get_or_make(MeasurementRecord, BIAS, BIAS_KEY, make)
    store.extend(MeasurementRecord, BIAS, BIAS_KEY, 3, make)
    assert len(held) == 2
    assert held[0] == held[1]


def test_each_request_for_a_record_is_returned_once(store):
    assert store.asked() == []
    store.ask("b", KEY)
    store.ask("a", KEY)
    assert sorted(store.asked()) == ["a", "b"]
    assert store.asked() == []


def test_a_failure_answers_for_its_record_alone(store):
    store.put_failure("a", KEY, "no node has a GPU")
    assert store.failure("a", KEY) == "no node has a GPU"
    assert store.failure("b", KEY) is None
    assert store.failure("a", {"run": "another"}) is None


def test_networks_are_kept_for_each_seed(store, report):
    experiment = ROW.experiment
    state = experiment.network.build("default", 0).state_dict()
    networks = [
        SavedNetwork(ROW.id, experiment, seed, 0.5, "numba", "cpu", {**state}) for seed in ROW.seeds
    ]
    assert store.lacks_networks(ROW.id, KEY, ROW.seeds)
    store.put_networks(ROW.id, KEY, networks[:1])
    assert store.lacks_networks(ROW.id, KEY, ROW.seeds)
    assert not store.lacks_networks(ROW.id, KEY, ROW.seeds[:1])
    store.put_networks(ROW.id, KEY, networks)
    assert not store.lacks_networks(ROW.id, KEY, ROW.seeds)
    files = sorted((report / "weights").iterdir())
    assert [read_network(path).seed for path in files] == ROW.seeds
    for path in files:
        for name, tensor in read_network(path).state.items():
            assert torch.equal(tensor, state[name])


def test_a_claim_is_kept_under_a_name_of_its_own(store):
    store.put_claim(DECIDED)
    assert [*store.claims().values()] == [DECIDED]


WRITING = {
    "making": lambda store: store.get_or_make(TrainingRecord, ROW.id, KEY, lambda: CONTENT),
    "putting": lambda store: store.put(ROW.id, KEY, CONTENT),
    "a claim": lambda store: store.put_claim(DECIDED),
    "asking": lambda store: store.ask("a", KEY),
    "a failure": lambda store: store.put_failure("a", KEY, "why"),
    "timing": lambda store: store.is_first_timing("a", KEY),
    "networks": lambda store: store.put_networks("a", KEY, []),
}


@pytest.mark.parametrize("result", ["making", "putting", "a claim"])
def test_the_first_result_makes_the_report_the_latest(store, report, result):
    latest = report.with_name("latest")
    for other in WRITING.keys() - {"making", "putting", "a claim"}:
        WRITING[other](store)
    assert not latest.exists()
    WRITING[result](store)
    assert latest.resolve() == report


def test_a_later_result_does_not_make_it_the_latest_again(store, report):
    store.put(ROW.id, KEY, CONTENT)
    later = report.with_name("2026-01-02_03-04-06.000")
    later.mkdir()
    run_folders.lead_to(later)
    store.put_claim(DECIDED)
    assert report.with_name("latest").resolve() == later


def test_a_resumed_report_does_not_become_the_latest(store, report):
    store.resume()
    store.put(ROW.id, KEY, CONTENT)
    assert not report.with_name("latest").exists()


def test_what_was_there_on_resuming_is_of_an_earlier_session(store):
    store.put(ROW.id, KEY, CONTENT)
    assert not store.is_resumed(ROW.id, KEY)
    store.resume()
    assert store.is_resumed(ROW.id, KEY)
    store.put(BIAS, BIAS_KEY, MEASURED)
    assert not store.is_resumed(BIAS, BIAS_KEY)


def test_the_first_timing_is_the_first_in_any_process(store, report):
    assert store.is_first_timing("a", KEY)
    assert not store.is_first_timing("a", KEY)
    assert not Store(report).is_first_timing("a", KEY)
    assert store.is_first_timing("b", KEY)


@pytest.mark.parametrize("write", WRITING.values(), ids=WRITING)
def test_a_folder_that_was_removed_is_made_again(store, write, report):
    shutil.rmtree(report)
    with pytest.warns(UserWarning, match="was removed while this session ran; its records so far are"):
        write(store)
    assert (report / "runs").is_dir()


@pytest.mark.parametrize("write", WRITING.values(), ids=WRITING)
def test_a_folder_that_cannot_be_made_again_is_named(store, write, report):
    shutil.rmtree(report)
    report.write_text("")
    with (
        pytest.warns(UserWarning, match="was removed"),
        pytest.raises(FileError, match=r"2026-01-02_03-04-05.678 cannot be written: File exists$"),
    ):
        write(store)


def test_a_folder_that_is_removed_while_a_record_is_made_is_made_again(store, report):
    def make():
        shutil.rmtree(report)
        return CONTENT

    with pytest.warns(UserWarning, match="was removed"):
        assert store.get_or_make(TrainingRecord, ROW.id, KEY, make) == ROW
