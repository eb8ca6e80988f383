"""The published figures of `bench/`, held against a second transcription of the assignment's tables.

U. C. Birbiri, "Advanced Deep Learning Assignment 2", 4 November 2022. Each line is copied from the page.
"""

import re

import pytest

from harness.claim import claims_of
from tests.bench_modules import bench_module

TABLE_1 = """
0.1 1 0.101 9810
0.1 100 0.862 6650
0.1 1000 0.979 775
0.1 10000 0.972 209
0.1 60000 0.974 155
"""
TABLE_2 = """
Online GD 0.1 0.120
Online GD 0.01 0.100
Online GD 0.001 0.293
Online GD 0.0001 0.742
SGD 0.1 0.101
SGD 0.0001 0.953
"""
TABLE_3 = """
Adam 0.001 0.982
Adam 0.01 0.841
Adam 0.1 0.098
Adam 1 0.160
Adam 10 0.103
SGD 0.001 0.927
SGD 0.01 0.973
SGD 0.1 0.971
SGD 1 0.552
SGD 10 0.118
"""


def rows(module):
    exercise = bench_module(f"test_{module}").EXERCISE
    return [row for row in exercise.rows if row.published.test_accuracy is not None]


def test_table_1():
    found = [
        f"{row.experiment.learning_rate:g} {row.experiment.batch_size} "
        f"{row.published.test_accuracy:.3f} {row.published.seconds:.0f}"
        for row in rows("1_minibatch_size")
    ]
    assert found == TABLE_1.split("\n")[1:-1]


def test_table_2():
    names = {"by_class": "Online GD", "shuffled": "SGD"}
    found = [
        f"{names[row.experiment.order]} {row.experiment.learning_rate:g} "
        f"{row.published.test_accuracy:.3f}"
        for row in rows("3_online_gradient")
    ]
    assert found == TABLE_2.split("\n")[1:-1]
    assert {row.experiment.batch_size for row in rows("3_online_gradient")} == {1}


def test_table_3():
    found = [
        f"{row.experiment.optimizer.name} {row.experiment.learning_rate:g} "
        f"{row.published.test_accuracy:.3f}"
        for row in rows("4_adam_vs_sgd")
    ]
    assert found == TABLE_3.split("\n")[1:-1]


def test_zero_initialisation():
    """The test accuracy result is 0.113, and the train accuracy result is 0.112."""
    found = {row.name: row.published.test_accuracy for row in rows("2_constant_init")}
    assert found == {"gd-init0": 0.113, "sgd-init0": 0.113}


@pytest.mark.parametrize(
    "module", ["1_minibatch_size", "2_constant_init", "3_online_gradient", "4_adam_vs_sgd"]
)
def test_figures_in_a_claims_words_are_published(module):
    """Those in parentheses, such as "(0.862 to 0.974)", are of the exercise's rows."""
    where = bench_module(f"test_{module}")
    published = {f"{row.published.test_accuracy:.3f}" for row in rows(module)}
    quoted = {
        figure
        for claim in claims_of(where).values()
        for figure in re.findall(r"\b0\.\d{3}\b", " ".join(re.findall(r"\((.*?)\)", claim.text)))
    }
    assert quoted <= published
    assert bool(quoted) == (module != "2_constant_init")
