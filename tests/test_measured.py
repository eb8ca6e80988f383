"""Which values a measurement may return, and that they come back as they were."""

import json

import numpy as np
import pytest

from harness import atomic_json
from harness.files.measured import MeasurementError, checked, restored

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        (True, True),
        (0, 0),
        (0.5, 0.5),
        ("text", "text"),
        (INF, INF),
        (-INF, -INF),
        ((1, (2, "a")), [1, [2, "a"]]),
        ({"a": {"b": (1,)}}, {"a": {"b": [1]}}),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        ({"a": [np.array([0.5, INF])]}, {"a": [[0.5, INF]]}),
    ],
)
def test_a_value_comes_back_in_plain_types(value, kept):
    written = json.loads(atomic_json.dumps({"it": checked(value, "it")}))["it"]
    found = restored(written)
    assert found == kept
    assert type(found) is type(kept)


def test_nan_comes_back_wherever_it_is():
    written = json.loads(atomic_json.dumps({"it": checked({"a": [NAN, {"b": np.nan}]}, "it")}))["it"]
    first, second = restored(written)["a"]
    assert first != first
    assert second["b"] != second["b"]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({1, 2}, "it is {1, 2}; expected numbers, text, True, False, None, lists and dictionaries"),
        (1j, "it is 1j; expected numbers"),
        ([0, (1, b"a")], "it[1][1] is b'a'; expected numbers"),
        ({"a": {"b": len}}, "it['a']['b'] is <built-in function len>; expected numbers"),
        ({"a": 1, 2: 3, 4: 5}, "it has the key 2; expected text"),
        ([{None: 1}], "it[0] has the key None; expected text"),
        ("NaN", "it is the text 'NaN', which would be read back as a number; return another text"),
        (["-Infinity"], "it[0] is the text '-Infinity', which would be read back as a number"),
        ({"a": np.array(["Infinity"])}, "it['a'][0] is the text 'Infinity', which would be read back"),
    ],
)
def test_another_value_is_refused_with_its_place(value, line):
    with pytest.raises(MeasurementError) as refused:
        checked(value, "it")
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)
