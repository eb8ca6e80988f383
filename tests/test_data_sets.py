"""Your own data sets and custom schedules: what is accepted, exactly up to which limit, and as what."""

import re
from itertools import islice

import numpy as np
import pytest
import torch

from model.dataset import DATASETS, EMNIST_LETTERS, KMNIST, MNIST, Dataset
from model.optimizers import SGD, Adam
from model.schedule import Schedule, ScheduleError

LR = torch.optim.lr_scheduler
INPUTS, LABELS = np.zeros((2, 3)), np.array([0, 1])


def made(inputs=INPUTS, labels=LABELS, test_inputs=INPUTS, test_labels=LABELS, **how):
    return Dataset.of("mine", lambda: (inputs, labels, test_inputs, test_labels), **how)


def refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        make()


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("x", True), ("0", True), ("x" * 40, True), ("x" * 41, False), ("", False), ("a.b-c_d", True),
        (".a", False), ("-a", False), ("a b", False), ("a\n", False), ("A", False), (None, False),
    ],
)  # fmt: skip
def test_a_name_has_up_to_forty_characters(name, valid):
    if valid:
        assert str(Dataset(name)) == name
    else:
        refused(lambda: Dataset(name), f"name is {name!r}; expected up to 40 of a to z")


@pytest.mark.parametrize(
    ("targets", "valid"),
    [
        ((0.01,), True), ((0.99,), True), ([0.5, 0.51], True), ((0.5, 0.5), False), ((0,), False),
        ((1,), False), ((0.555,), False), ((0.9, 0.8), False), (0.9, False), ((), False),
    ],
)  # fmt: skip
def test_targets_are_ascending_whole_percents(targets, valid):
    if not valid:
        refused(lambda: Dataset("x", targets=targets), "targets is ")
        return
    found = Dataset("x", targets=targets)
    assert found.targets == tuple(targets)
    assert found.learned_from == targets[0]
    assert found.targets_by_name == {f"{each:.2f}": each for each in targets}


@pytest.mark.parametrize("field", ["inputs", "classes", "examples"])
def test_a_data_set_has_one_of_each_at_least(field):
    assert getattr(Dataset("x", **{field: 1}), field) == 1
    refused(lambda: Dataset("x", **{field: 0}), f"{field} is 0; expected a whole number from 1")


def test_the_built_in_data_sets_are_those_of_their_papers():
    """MNIST (1998); Fashion-MNIST (2017) and KMNIST (2018) in its format; EMNIST (2017), table II."""
    sizes = {name: (each.inputs, each.classes, each.examples) for name, each in DATASETS.items()}
    assert sizes == {
        **dict.fromkeys(("mnist", "fashion-mnist", "kmnist"), (784, 10, 60_000)),
        "emnist-letters": (784, 26, 124_800),
        "emnist-digits": (784, 10, 240_000),
    }
    digits, harder = (0.90, 0.95, 0.97), (0.80, 0.85, 0.88)
    assert {name: each.targets for name, each in DATASETS.items()} == {
        **dict.fromkeys(("mnist", "emnist-digits"), digits),
        **dict.fromkeys(("fashion-mnist", "kmnist", "emnist-letters"), harder),
    }


def test_your_own_data_set_is_flat_and_has_the_engines_types():
    inputs = np.arange(12).reshape(2, 2, 3)
    found = made(inputs, LABELS.astype(np.uint8), inputs[:, :, ::-1], np.array([1, 0]))
    assert (found.inputs, found.classes, found.examples) == (6, 2, 2)
    assert re.fullmatch("[0-9a-f]{64}", found.digest)
    images, labels, test_images, test_labels = found.arrays()
    assert images.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert test_images.tolist() == [[2, 1, 0, 5, 4, 3], [8, 7, 6, 11, 10, 9]]
    assert (labels.tolist(), test_labels.tolist()) == ([0, 1], [1, 0])
    assert [each.dtype for each in found.arrays()] == [np.float32, np.int64] * 2


def test_every_array_and_its_shape_identify_a_data_set():
    """Also the same numbers in another shape, and a set that is longer than the other."""
    one = np.arange(4.0).reshape(2, 2)
    sets = [
        made(one, test_inputs=one),
        made(one + 1, test_inputs=one),
        made(one, test_inputs=one + 1),
        made(one, LABELS[::-1], one),
        made(one, LABELS, one, LABELS[::-1]),
        made(one[:1], LABELS[:1], one),
        made(np.arange(4.0).reshape(4, 1), [0, 1, 0, 1], np.zeros((2, 1))),
    ]
    assert len({each.digest for each in sets}) == len(sets)
    assert made(one, test_inputs=one) == sets[0]


@pytest.mark.parametrize(("inputs", "valid"), [(65_534, True), (65_535, True), (65_536, False)])
def test_an_examples_inputs_have_sixteen_bit_indices(inputs, valid):
    many = np.zeros((2, inputs), np.float32)
    if valid:
        assert made(many, test_inputs=many).inputs == inputs
    else:
        refused(
            lambda: made(many, test_inputs=many),
            "an example has 65536 inputs; expected up to 65535",
        )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"inputs": INPUTS[:1]}, "the training inputs have shape (1, 3), the labels (2,); expected"),
        ({"test_labels": LABELS[:1]}, "the test inputs have shape (2, 3), the labels (1,); expected"),
        ({"labels": LABELS[:, None]}, "the training inputs have shape (2, 3), the labels (2, 1); "),
        ({"test_inputs": np.zeros(2)}, "the test inputs have shape (2,), the labels (2,); expected"),
        ({"test_inputs": np.zeros((2, 4))}, "the training inputs have shape (2, 3), the test inputs "),
        ({"labels": np.array([0.0, 1.0])}, "the training labels are float64 of shape (2,); expected"),
        ({"test_labels": np.array([False, True])}, "the test labels are bool of shape (2,); expected"),
        ({"inputs": INPUTS * 1j}, "the training inputs are complex128 of shape (2, 3); expected some n"),
        ({"inputs": INPUTS[:0], "labels": LABELS[:0]}, "the training inputs are float64 of shape (0, "),
        ({"inputs": INPUTS + 1e39}, "the inputs are not all finite in float32; expected finite"),
        ({"test_inputs": INPUTS + np.inf}, "the inputs are not all finite in float32; expected"),
        ({"test_labels": np.array([0, 0])}, "the test labels are [0]; expected all of 0 to classes"),
        ({"labels": LABELS * 0, "test_labels": LABELS * 0}, "the test labels are [0]; expected all of"),
        ({"test_labels": np.array([0, 2])}, "the test labels are [0, 2]; expected all of 0 to"),
        ({"test_labels": np.array([1, 2])}, "the test labels are [1, 2]; expected all of 0 to"),
        ({"test_labels": np.array([-1, 0])}, "the test labels are [-1, 0]; expected all of 0 to"),
        ({"labels": np.array([0, 2])}, "the test labels are [0, 1]; expected all of 0 to classes - 1"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_arrays_that_do_not_fit_are_refused(changed, message):
    refused(lambda: made(**changed), message)


def test_a_class_may_lack_training_examples_and_inputs_may_be_truth_values():
    found = made(INPUTS > 0, np.array([1, 1]))
    assert found.classes == 2
    assert found.arrays()[0].dtype == np.float32


def test_a_data_set_is_read_back_without_its_arrays():
    found = made(INPUTS + 5, targets=(0.5, 0.6))
    written = found.to_dict()
    assert written == {
        "name": "mine", "inputs": 3, "classes": 2, "examples": 2, "targets": [0.5, 0.6],
        "digest": found.digest,
    }  # fmt: skip
    assert Dataset.from_dict(written) == found
    assert (MNIST.to_dict(), Dataset.from_dict("kmnist")) == ("mnist", KMNIST)
    elsewhere = Dataset.from_dict({**written, "digest": "0" * 64})
    refused(elsewhere.arrays, "data set mine was not made in this process; make it with Dataset.of")
    refused(MNIST.arrays, "data set mnist was not made in this process")


@pytest.mark.parametrize("digest", [None, "0" * 63, "0" * 65, "g" * 64, 7])
def test_an_invalid_written_data_set_is_refused(digest):
    written = {**made().to_dict(), "digest": digest}
    refused(lambda: Dataset.from_dict(written), "dataset is {")
    less = made().to_dict()
    del less["classes"]
    refused(lambda: Dataset.from_dict(less), "dataset is {")
    refused(lambda: Dataset.from_dict({**made().to_dict(), "more": 1}), "dataset is {")
    refused(lambda: Dataset.from_dict("cifar"), "dataset is 'cifar'; expected one of mnist, ")
    refused(lambda: Dataset.from_dict(7), "dataset is 7; expected a name, or ")
    assert Dataset.from_dict("emnist-letters") is EMNIST_LETTERS


# Schedules ------------------------------------------------------------------------------------------


class Listed(LR.LRScheduler):
    """Sets these rates one after another, and then fails."""

    def __init__(self, optimizer, rates):
        self.rates = rates
        super().__init__(optimizer)

    def get_lr(self):
        return [self.rates[self.last_epoch]]


def listed(*rates, every="epoch"):
    return Schedule(Listed, {"rates": [*rates]}, every)


def test_a_schedule_has_one_rate_for_an_epoch_or_for_each_step():
    rates = [0.5, 0.25, 0.125, 0.0625, 0.5, 0.25, 0.125]
    by_epoch = islice(listed(*rates).rates(SGD(9), steps=3), 2)
    assert [each.tolist() for each in by_epoch] == [[0.5] * 3, [0.25] * 3]
    by_step = islice(listed(*rates, every="step").rates(SGD(9), steps=3), 2)
    assert [each.tolist() for each in by_step] == [[0.5, 0.25, 0.125], [0.0625, 0.5, 0.25]]


@pytest.mark.parametrize(("rate", "valid"), [(0.0, True), (1e308, True), (-1e-300, False)])
def test_a_rate_is_0_or_more(rate, valid):
    schedule = listed(0.5, rate, 0.5)
    if valid:
        schedule.check(SGD(0.5), epochs=2)
        return
    with pytest.raises(ScheduleError, match=r"changes the learning rate from 0\.5 to -1e-300; expected"):
        schedule.check(SGD(0.5), epochs=2)


@pytest.mark.parametrize(("epochs", "valid"), [(1, True), (2, True), (3, True), (4, False)])
def test_a_schedule_is_tried_for_so_many_epochs(epochs, valid):
    """It has three rates: with one epoch two are tried, as it must be able to advance."""
    schedule = listed(0.5, 0.25, 0.125)
    if valid:
        schedule.check(SGD(0.5), epochs=epochs)
        with pytest.raises(ScheduleError, match="cannot advance"):
            listed(0.5).check(SGD(0.5), epochs=epochs)
    else:
        with pytest.raises(ScheduleError, match="cannot advance: tuple index out of range"):
            schedule.check(SGD(0.5), epochs=epochs)


class Momentous(Listed):
    """Changes momentum with the second rate."""

    def step(self, *given):
        super().step(*given)
        if self.last_epoch > 0:
            self.optimizer.param_groups[0]["betas"] = (0.5, 0.5)


def test_only_the_rate_may_change():
    schedule = Schedule(Momentous, {"rates": [0.5, 0.25]})
    assert next(schedule.rates(Adam(0.5), steps=1)).tolist() == [0.5]
    with pytest.raises(ScheduleError, match="changes betas; expected only the learning rate to change"):
        schedule.check(Adam(0.5), epochs=1)
    written = Schedule.from_dict(schedule.to_dict())
    assert written == schedule
    written.check(Adam(0.5), epochs=1)  # one that is read is not tried


@pytest.mark.parametrize("content", [7, {}, {"scheduler": "a.B", "options": {}}, {"every": "step"}])
def test_an_invalid_written_schedule_is_refused(content):
    refused(lambda: Schedule.from_dict(content), "schedule is ")
    assert Schedule.from_dict(None) is None
