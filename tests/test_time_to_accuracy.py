"""The figure of times to accuracy where more rows reach a target than it shows."""

from harness.report.figures import figures_of, time_to_accuracy
from model.optimizers import SGD
from tests.made_up_runs import FIRST, run_of, trained

ROWS = {
    **{f"r{at}": trained(SGD(at), (0.1, 0.9), seconds=(0, at)) for at in (1, 2, 3)},
    "never": trained(SGD(4), (0.1, 0.8), seconds=(0, 1)),
}


def test_a_row_that_is_not_shown_has_reached_its_target_all_the_same(monkeypatch):
    monkeypatch.setattr(time_to_accuracy, "_MOST", 2)
    run = run_of({FIRST: ROWS}, published={})
    (figure,) = (
        each for each in figures_of(run, run.summary.exercises[0]) if each.name == "1-x-time-to-accuracy"
    )
    assert {row["row"] for row in figure.data["times-1-x"]} == {"r1", "r2"}
    assert "Never reached 90 %: rate 4. Showing 2 of the 3 rows that reach a target" in figure.notes
