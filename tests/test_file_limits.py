"""The values that files may hold, each type at its limits, and the names of files."""

import math

import pytest
from pydantic import ConfigDict, TypeAdapter, ValidationError

from harness.exercise import Published
from harness.files import types
from harness.files.names import file_name, short_digest
from harness.files.record import AddedSeeds, TrainingRecord, key_of
from harness.files.session_phases import PhasesFile
from harness.files.summary import CaseSummary, Summary
from harness.results.records import to_case
from model.optimizers import SGD
from tests.made_up_runs import RUN, record, trained

INF, NAN = math.inf, math.nan


def nested(axes):
    value = 1
    for _ in range(axes):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("kind", "accepted", "refused"),
    [
        ("Text", ["", "x" * 5000, "a\nb", "é"], ["x" * 5001, "a\x1b[31m", "a\tb", 3, None]),
        ("Count", [0, 10**12], [-1, 10**12 + 1, 1.0, True, "1"]),
        ("Positive", [1, 10**12], [0, 10**12 + 1, 1.0]),
        ("Accuracy", [0.0, 1.0], [-1e-9, 1 + 1e-9, NAN]),
        ("Seconds", [0.0, 1e300], [-1e-9, INF, NAN]),
        ("Finite", [-1e300, 0.0], [INF, -INF, NAN]),
        ("FinitePositive", [1e-300], [0.0, -1.0, INF, NAN]),
        ("Number", [1.5, INF, "Infinity", "-Infinity", "NaN"], ["infinity", "1"]),
        ("Observed", [nested(8), [], [[1, 2.5], [3, "NaN"]]], [nested(9), [[1], [2, 3]], [True], ["x"]]),
        ("Seeds", [[0], [2**63 - 1, 3]], [[], [-1], [2**63], [1, 2, 1]]),
        ("Scale", ["x", "x" * 100, "paper_2"], ["", "x" * 101, "a b", "a-b"]),
        ("DatasetName", ["mnist", "kmnist"], ["MNIST", ""]),
        ("Timing", ["exclusive", "shared"], ["", "both"]),
        ("EngineName", ["cluster", "numba", "cuda-graph", "eager"], ["auto", "jax"]),
        ("EngineOrPeer", ["eager", "jax", "torch.compile"], ["auto"]),
        ("Device", ["cpu", "cuda", "cuda:0", "cuda:999"], ["cuda:", "cuda:1000", "cpu:0", "xcpu"]),
        ("Digest", ["0", "f" * 64], ["", "0" * 65, "F", "g"]),
    ],
)
def test_values_at_the_limits_of_their_types(kind, accepted, refused):
    adapter = TypeAdapter(getattr(types, kind), config=ConfigDict(strict=True))
    for value in accepted:
        adapter.validate_python(value)
    for value in refused:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)


def test_numbers_that_json_lacks_are_read_as_numbers():
    number, array = (
        TypeAdapter(kind, config=ConfigDict(strict=True)) for kind in (types.Number, types.Observed)
    )
    assert number.validate_python("-Infinity") == -INF
    assert array.validate_python([[1, "Infinity"]]) == [[1.0, INF]]


@pytest.mark.parametrize(
    ("array", "shape"), [(3, ()), ([], (0,)), ([1, 2], (2,)), ([[1, 2], [3, 4], [5, 6]], (3, 2))]
)
def test_the_shape_of_nested_lists(array, shape):
    assert types.shape_of(array) == shape
    if len(shape) == 2:
        assert types._has_shape(array, shape)
        for other in ((2, 2), (3, 3), (3,)):
            assert types._has_shape(array, other) == (other == (3,))
        assert not types._has_shape([[1, 2], [3], [5, 6]], (3, 2))


def made_up_record():
    curves = [(0.1, 0.5, 0.9)] * 3
    return record("bench/test_1_x.py", "sgd", trained(SGD(0.1), *curves, seconds=(0, 1, 2)), Published())


def with_changes(found, **changes):
    return TrainingRecord.model_validate({**found.model_dump(mode="json"), **changes})


def test_times_are_of_the_seeds_that_were_trained_first():
    found = made_up_record()
    assert (found.timed_seeds, found.all_seconds) == (3, 2.0)
    run = {**found.run.model_dump(), "replicates": 1}
    added = [{"seeds": [1], "seconds": 5.0}, {"seeds": [2], "seconds": 7.5}]
    more = with_changes(found, run=run, added=added)
    assert (more.timed_seeds, more.all_seconds) == (1, 14.5)
    assert more.added[0] == AddedSeeds(seeds=[1], seconds=5.0)


@pytest.mark.parametrize(
    ("replicates", "added", "why"),
    [
        (1, [1], "seeds does not end with the added ones, [1]"),
        (1, [2, 1], "seeds does not end with the added ones, [2, 1]"),
        (1, [0, 1, 2], "seeds does not end with the added ones, [0, 1, 2]"),
        (2, [1, 2], "it has 1 seed, but 2 replicates"),
        (1, [2], "it has 2 seeds, but 1 replicate"),
        (4, [], "it has 3 seeds, but 4 replicates"),
    ],
)
def test_added_seeds_are_the_last_of_more(replicates, added, why):
    found = made_up_record()
    run = {**found.run.model_dump(), "replicates": replicates}
    each = [{"seeds": added, "seconds": 1.0}] if added else []
    with pytest.raises(ValidationError) as refused:
        with_changes(found, run=run, added=each)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("seconds", "why"),
    [
        ([0, 1, 1], "does not go from 0 to seconds"),
        ([0.5, 1, 2], "does not go from 0 to seconds"),
        ([0, 2.5, 2], "epoch_seconds decreases"),
        ([0, 2, 2], None),
    ],
)
def test_the_clock_does_not_go_backwards(seconds, why):
    found = made_up_record()
    if why is None:
        assert with_changes(found, epoch_seconds=[*map(float, seconds)]).epoch_seconds == seconds
    else:
        with pytest.raises(ValidationError, match=why):
            with_changes(found, epoch_seconds=[*map(float, seconds)])


@pytest.mark.parametrize(
    ("target", "accepted"),
    [("0.9", True), ("1.0000", True), ("0.97000", False), ("2.0", False), ("0.", False), (".9", False)],
)
def test_target_accuracies_are_written_with_up_to_four_digits(target, accepted):
    case = to_case(made_up_record(), resumed=False).model_dump(mode="json")
    (reached, *_) = case["time_to_accuracy"].values()
    content = {**case, "time_to_accuracy": {target: reached}}
    if accepted:
        CaseSummary.model_validate(content)
    else:
        with pytest.raises(ValidationError):
            CaseSummary.model_validate(content)


def test_a_summary_has_each_module_once_under_its_short_name():
    content = RUN.summary.to_json()
    assert content["schema"] == 3
    assert Summary.model_validate(content) == RUN.summary
    first, second = content["exercises"]
    for module in (first["module"], "elsewhere/test_1_x.py"):
        with pytest.raises(ValidationError, match="a module occurs twice"):
            Summary.model_validate({**content, "exercises": [first, {**second, "module": module}]})


@pytest.mark.parametrize(
    ("parts", "accepted"),
    [([2, 2], True), ([1], True), ([2, 3], False), ([0], False), ([1] * 21, False)],
)
def test_phases_have_equally_many_parts(parts, accepted):
    phases = [{"phase": "training", "seconds": 1.0, "cpu_seconds": [1.0] * each} for each in parts]
    content = {"seconds": 1.0, "cores": 1, "processes": 1, "phases": phases}
    if accepted:
        assert len(PhasesFile.model_validate(content).phases) == len(parts)
    else:
        with pytest.raises(ValidationError):
            PhasesFile.model_validate(content)


def test_files_are_named_after_their_test_and_a_digest():
    """The digests are those of `sha256sum`, of the node id and the key as JSON with sorted names."""
    key = {"run": {"scale": "quick"}}
    assert file_name("bench/test_1_x.py::test_training[a b]", key) == "test_1_x.a b.2828bd83"
    assert file_name("bench/test_1_x.py::spread", {}) == "test_1_x.spread.b2aecb82"
    assert short_digest({"b": 1, "a": 2}) == short_digest({"a": 2, "b": 1})
    content = {"id": "x", "run": key, "experiment": {}, "seeds": [0]}
    assert key_of(content) == {"run": key, "experiment": {}}
    assert key_of({"id": "x", "run": key}) == {"run": key}
