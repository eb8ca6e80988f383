"""The stories of `bench/`, on made-up trainings: each figure in them is worked out on paper."""

from dataclasses import replace

import numpy as np

from harness.exercise import Results
from model.optimizers import SGD, Adam
from tests.bench_modules import bench_module
from tests.conftest import ROOT
from tests.made_up_runs import trained

# Half the width of the interval of two values that differ by 0.002 (Student's t, 12.706), is 0.013.


def two(end, *before):
    """Returns two seeds' curves that end 0.001 below and above `end`."""
    return [(0.1, *before, end - 0.001), (0.1, *before, end + 0.001)]


def story(name, trainings, measurements=None):
    tell = getattr(bench_module("stories"), name)
    told = tell(Results("x", trainings, measurements or {}))
    # A sentence that is left out leaves nothing behind.
    assert "None" not in told
    assert "  " not in told
    return told


def moved(*distances):
    """Returns distances from the initialisation, two seeds each."""
    return np.array([[each, each] for each in distances])


def sizes(one):
    far, near = moved(1, 1, 100, 1, 1, 1), moved(50, 1, 4, 1, 1, 1)
    at_hundred = {"distance_from_initialisation": near, "steps": 1800}
    return {
        "sgd-lr0.1-batch100": trained(
            SGD(0.1), *two(0.98, 0.9, 0.95), seconds=(0, 1, 2, 3), **at_hundred
        ),
        "sgd-lr0.1-batch60000": trained(SGD(0.1), *two(0.3, 0.1, 0.2), seconds=(0, 1, 2, 3), steps=3),
        "sgd-lr0.1-batch1": trained(
            SGD(0.1), *one, seconds=(0, 1, 2, 3), distance_from_initialisation=far
        ),
        "sgd-lr0.01-batch1": trained(SGD(0.01), *two(0.97, 0.9, 0.95), seconds=(0, 1, 2, 3)),
        "sgd-lr0.1-batch1000": trained(SGD(0.1), *two(0.99, 0.9, 0.95), seconds=(0, 1, 2, 3)),
    }


def test_batch_sizes():
    told = story("minibatch_size", sizes(two(0.2, 0.9, 0.94)))
    assert told == (
        "From batch size 100 up, at one learning rate, the number of steps decides how far training "
        "gets, and a smaller batch takes more of them in an epoch. In 3 epochs, batch size "
        "100 takes 1,800 steps and ends at 0.980 ± 0.013 test accuracy; gradient descent takes 3 and "
        "ends at 0.300 ± 0.013. Batch size 1 "
        "peaks at 0.940 ± 0.000 and drops to 0.200 ± 0.013: 0.1 is too large a rate for it, not too "
        "small. At 0.01 it ends at 0.970 ± 0.013. At 0.1 the weights below the sigmoids end 25 times as"
        " far from where they started as at batch size 100. So the sigmoids saturate, and pass on ever "
        "less of the gradient. In PyTorch's plain loop under seed 0, after three epochs, 99 % of their "
        "outputs on the test set are within 0.01 of 0 or 1, compared with 6 % at batch size 100."
    )


def test_batch_sizes_are_compared_after_equally_many_steps():
    """Batch size 100 takes 600 steps in an epoch; its accuracies are 0.9, 0.95 and 0.98."""
    rows = sizes(two(0.2, 0.9, 0.94))

    def told(steps):
        large = rows["sgd-lr0.1-batch1000"]
        return story("minibatch_size", rows | {"sgd-lr0.1-batch1000": replace(large, steps=steps)})

    assert (
        "After 1,200 steps each, batch size 100 is at 0.950 ± 0.000 (2 epochs) and 1000 at "
        "0.990 (0.977 to 1) (3 epochs). Batch size 1 peaks"
    ) in told(1200)
    assert "batch size 100 is at 0.980 ± 0.013 (3 epochs)" in told(1800)
    assert "batch size 100 is at 0.900 ± 0.000 (1 epoch)" in told(600)
    assert "steps each" not in told(180) + told(2400)
    del rows["sgd-lr0.1-batch1000"]
    assert "steps each" not in story("minibatch_size", rows) != ""


def test_the_saturation_that_the_story_names_is_that_of_the_findings():
    said = bench_module("stories")._SATURATION.removesuffix(".")
    findings = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    assert said.replace("their", "the") in " ".join(findings.split()).replace("their", "the")


def test_a_batch_size_that_does_not_drop_ends():
    """A drop of 2.9 points is none, one of 3.1 points is."""
    assert " and ends at 0.911 " in story("minibatch_size", sizes(two(0.911, 0.9, 0.94)))
    assert " and drops to 0.909 " in story("minibatch_size", sizes(two(0.909, 0.9, 0.94)))
    # Three points are not more than three.
    assert " and ends at 0.000 " in story("minibatch_size", sizes([(0.01, 0.02, 0.03, 0)] * 2))


def constant(**ends):
    rows = {}
    for name, end in {"gd-init0": 0.1135, "sgd-init0": 0.1028, **ends}.items():
        method, _, value = name.partition("-init")
        rows[name] = trained(
            SGD(0.1),
            (0.1, end),
            seconds=(0, 1),
            batch_size=60000 if method == "gd" else 100,
            init=float(value),
        )
    return rows


def test_constant_initialisations():
    told = story(
        "constant_init", constant(**{"gd-init0.01": 0.2, "sgd-init0.01": 0.274, "sgd-init1": 0.1})
    )
    assert "0.1135 by gradient descent, 0.1028 by SGD." in told
    assert told.endswith("the best end is 0.274, by SGD from 0.01.")
    # The rows from zero are not among the others.
    rows = {"gd-init0": 0.5, "sgd-init0": 0.6, "gd-init0.1": 0.3, "sgd-init0.1": 0.2}
    told = story("constant_init", constant(**rows))
    assert told.endswith("the best end is 0.300, by gradient descent from 0.1.")
    same = story("constant_init", constant(**{"sgd-init0": 0.1135, "sgd-init1": 0.1}))
    assert "share: 0.1135 by both methods. The ReLU" in same


def test_values_from_which_only_the_output_layer_moves():
    """Under both methods: the distances of the output layer's weights and biases are the last two."""
    rows = constant(
        **{f"{method}-init{value}": 0.2 for method in ("gd", "sgd") for value in (0.1, 1, 2)}
    )
    still = np.array([0, 0, 0, 0, 1, 1.0])[:, None]
    for name in rows:
        if not name.endswith("init2"):
            rows[name] = replace(rows[name], distance_from_initialisation=still)
    told = story("constant_init", rows)
    assert told.endswith(
        " From 0.1 and 1 the sigmoids are saturated, and nothing below the output layer moves."
    )
    rows["gd-init1"] = replace(rows["gd-init1"], distance_from_initialisation=still + 1)
    assert " From 0.1 the sigmoids are" in story("constant_init", rows)
    # One parameter below the output layer that moves is enough.
    for parameter in range(4):
        moving = np.where(np.arange(6)[:, None] == parameter, 1.0, still)
        rows["sgd-init0.1"] = replace(rows["sgd-init0.1"], distance_from_initialisation=moving)
        assert "saturated" not in story("constant_init", rows)


def orders(online, shuffled):
    return {
        f"{order}{rate}": trained(SGD(rate), (0.1, end), seconds=(0, 1), order=order)
        for order, ends in (("by_class", online), ("shuffled", shuffled))
        for rate, end in ends.items()
    }


def test_orders_of_presentation():
    """The last checkpoint counts: errors fall from 12 to 10 and 8, and from 80 to 2 and 1, by seed."""

    def seed(by_class, shuffled):
        return {
            order: {
                "counts": [1, 100, 3000, 60000],
                "relative_error": [[9, 9, 3, 1], [7, 7, 7, 7], errors],
            }
            for order, errors in (
                ("by_class", [12, 11, by_class, 0.1]),
                ("shuffled", [80, 8, shuffled, 0.1]),
            )
        }

    told = story(
        "online_gradient",
        orders({0.1: 0.2, 0.01: 0.75, 0.001: 0.6}, {0.1: 0.1, 0.001: 0.96}),
        {"gradient-bias": [seed(10, 2), seed(8, 1)]},
    )
    assert told.startswith(
        "It does not converge within 1 epoch (no rate ends at 90 %): on the sorted stream the test "
        "accuracy ends at 0.200 at 0.1, 0.750 at 0.01, 0.600 at 0.001. At 0.1, 0.01 and 0.001 the "
        "accuracy still improves at the end. Shuffled, SGD ends at 0.960 at the best of the 2 rates "
        "tried (0.001). The network learns one class"
    )
    # Gains of 1.2 and 1.5, and of 40 and 80: half the widths are 12.706 times half the difference.
    assert (
        "the mean of 3000 is 1.4 ± 1.9 times as close to the full gradient as one alone; shuffled, it "
        "is 60.0 ± 254.1 times as close." in told
    )
    told = story(
        "online_gradient",
        orders({0.1: 0.1, 0.01: 0.2}, {0.1: 0.5}),
        {"gradient-bias": [seed(10, 2)]},
    )
    assert "ends at 0.100 at 0.1, 0.200 at 0.01. At 0.01 the accuracy still improves" in told
    told = story(
        "online_gradient",
        orders({0.1: 0.1, 0.01: 0.1}, {0.1: 0.5}),
        {"gradient-bias": [seed(10, 2)]},
    )
    assert "ends at 0.100 at every rate. Shuffled, SGD ends at 0.500 at the best of the 1 rate" in told
    assert told.startswith("It does not converge within 1 epoch (no rate ends at 90 %): on the sorted")
    told = story(
        "online_gradient",
        orders({0.1: 0.1, 0.01: 0.97}, {0.1: 0.5}),
        {"gradient-bias": [seed(10, 2)]},
    )
    assert told.startswith(
        "It converges only in part within 1 epoch (some rates end at 90 %): on the sorted stream"
    )


def test_two_optimizers():
    ends = {
        Adam: {0.001: 0.985, 0.01: 0.96, 0.1: 0.1, 1: 0.97},
        SGD: {0.001: 0.9, 0.01: 0.98, 0.1: 0.97, 1: 0.94, 10: 0.1},
    }
    trainings = {
        f"{optimizer.__name__}{rate}": trained(optimizer(rate), (0.1, end), seconds=(0, 1))
        for optimizer, of in ends.items()
        for rate, end in of.items()
    }
    told = story("adam_vs_sgd", trainings)
    assert told.startswith(
        "After 1 epoch, Adam is best at rate 0.001 (0.985 test accuracy), the lowest tried, so a lower "
        "one may be better, SGD at 0.01 (0.980). At 0.001 Adam reaches 90 % after 1 epoch, SGD after 1 "
        "epoch; at their best rates both after 1 epoch. To 97 % Adam takes 1.00 s (after 1 epoch), SGD "
        "1.00 s (after 1 epoch). A median epoch"
    )
    lower = story("adam_vs_sgd", trainings | {"a": trained(Adam(1e-5), (0.1, 0.95), seconds=(0, 1))})
    assert "Rates that end within 5 points of the best: 0.00001 to 0.01 for Adam" in lower
    seeds = {
        name: trained(optimizer(rate), (0.1, 0.98), (0.1, 0.98), seconds=(0, 3))
        for name, optimizer, rate in (("Adam0.001", Adam, 0.001), ("SGD0.01", SGD, 0.01))
    }
    assert "To 97 %, for all 2 seeds together, Adam takes 3.00" in story(
        "adam_vs_sgd", trainings | seeds
    )
    late = trained(SGD(0.01), (0.1, 0.95, 0.96, 0.98), seconds=(0, 1, 2, 7))
    told_of_late = story("adam_vs_sgd", trainings | {"SGD0.01": late})
    assert (
        "To 97 % Adam takes 1.00 s (after 1 epoch), SGD 7.00 s † (after 3 epochs). A median epoch"
    ) in told_of_late
    never = trained(SGD(0.01), (0.1, 0.96), seconds=(0, 1))
    assert "To 97 %" not in story("adam_vs_sgd", trainings | {"SGD0.01": never, "SGD0.1": never})
    one_seed_never = trained(SGD(0.01), (0.1, 0.99), (0.1, 0.96), seconds=(0, 3))
    assert "To 97 %" not in story("adam_vs_sgd", trainings | seeds | {"SGD0.01": one_seed_never})
    assert (
        "(after 1 epoch). A median epoch of Adam takes 1 times as long as one of SGD. Adam divides"
        in told
    )
    slow = trained(Adam(0.001), (0.1, 0.5, 0.9, 0.985), seconds=(0, 3, 6, 19))  # 3, 3 and 13 s
    told_of_slow = story("adam_vs_sgd", trainings | {"Adam0.001": slow})
    assert "A median epoch of Adam takes 3 times as long as one of SGD." in told_of_slow
    both = {"Adam0.001": slow, "SGD0.001": trained(SGD(0.001), (0.1, 0.9), seconds=(0, 2))}
    assert "A median epoch of Adam takes 1.5 times as" in story("adam_vs_sgd", trainings | both)
    other = trained(Adam(0.001), (0.1, 0.985), seconds=(0, 3), engine="eager")
    assert "A median epoch" not in story("adam_vs_sgd", trainings | {"Adam0.001": other})
    lower = trainings | {"Adam0.0001": trained(Adam(0.0001), (0.1, 0.9), seconds=(0, 1))}
    assert "Adam is best at rate 0.001 (0.985 test accuracy), SGD at" in story("adam_vs_sgd", lower)
    assert "at 0.1 they are already too long (0.100)" in told
    assert "still at 0.940 at rate 1" in told
    assert told.endswith(
        "Rates that end within 5 points of the best: 0.001 to 0.01 for Adam, 0.01 to 1 for SGD."
    )
    trainings["Adam0.01"] = trained(Adam(0.01), (0.1, 0.9), seconds=(0, 1))
    assert "the best: 0.001 alone for Adam" in story("adam_vs_sgd", trainings)


def test_without_a_row_there_is_no_story():
    for missing in ("sgd-lr0.1-batch100", "sgd-lr0.01-batch1"):
        rows = sizes(two(0.2, 0.9, 0.94))
        del rows[missing]
        assert story("minibatch_size", rows) == ""
    rows = orders({0.1: 0.2}, {0.1: 0.1})
    assert story("online_gradient", rows) == ""  # no measurement
    assert story("adam_vs_sgd", {}) == ""
    one_order = {name: each for name, each in rows.items() if name.startswith("shuffled")}
    bias = {"gradient-bias": [{"by_class": {"counts": [1, 3000]}}]}
    assert story("online_gradient", one_order, bias) == ""
    assert story("online_gradient", orders({0.1: 0.2}, {}), bias) == ""
    assert story("online_gradient", {}) == ""
    for optimizer in (SGD, Adam):
        alone = trained(optimizer(0.001), (0.1, 0.9), seconds=(0, 1))
        assert story("adam_vs_sgd", {"alone": alone}) == ""
