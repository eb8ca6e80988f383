"""The figure that this study adds: the expected best of a few rates drawn at random."""

import altair as alt

from examples.optimizers.measures import by_optimizer, expected_best
from harness.report.figures.figure import (
    HEIGHT,
    Figure,
    interval_note,
    json_number,
    layered,
    side_by_side,
)
from harness.report.series import COLOURS, SHAPES
from harness.stats import mean_and_interval


def expected(results):
    """Draws a line for each optimizer: the expected accuracy of the best of 1, 2, ... rates."""
    found = by_optimizer(results.trainings.values())
    if len({len(each) for each in found.values()}) != 1:  # some rows did not run
        return None
    name = f"expected-{results.slug}"
    rows = [row for label, each in found.items() for row in _rows(label, each)]
    labels = [*found]
    seeds = max(len(each.seeds) for each in results.trainings.values())
    return Figure(
        title="Expected best of a few rates drawn at random",
        notes="The rates are drawn from those tried, without replacement, and the best of them counts."
        + interval_note(seeds),
        variants={"all": side_by_side([_panel(name, labels)])},
        data={name: rows},
    )


def _rows(label, trainings):
    for draws in range(1, len(trainings) + 1):
        middle, low, high = map(float, mean_and_interval(100 * expected_best(trainings, draws)))
        ends = {"low": json_number(low), "high": json_number(high)} if low < high else {}
        yield {"optimizer": label, "draws": draws, "accuracy": json_number(middle), **ends}


def _panel(name, labels):
    colours = alt.Scale(domain=labels, range=[COLOURS[i % len(COLOURS)] for i in range(len(labels))])
    shapes = alt.Scale(domain=labels, range=[SHAPES[i % len(SHAPES)] for i in range(len(labels))])
    legend = alt.Legend(title=None, orient="bottom", columns=3, symbolOpacity=1)
    colour = alt.Color("optimizer:N", scale=colours, legend=legend)
    title = "expected final test accuracy (%)"
    x = alt.X("draws:Q", title="learning rates drawn", axis=alt.Axis(tickMinStep=1))
    y = alt.Y("accuracy:Q", title=title, scale=alt.Scale(zero=False))
    base = alt.Chart(alt.NamedData(name))
    band = base.transform_filter("isValid(datum.low)").mark_area(opacity=0.2, aria=False)
    return layered(
        band.encode(x, alt.Y("low:Q", title=title), alt.Y2("high:Q"), color=colour),
        base.mark_line(strokeWidth=1.8).encode(x, y, color=colour),
        base.mark_point(size=50, filled=True, opacity=1).encode(
            x,
            y,
            color=colour,
            shape=alt.Shape("optimizer:N", scale=shapes, legend=legend),
            tooltip=[
                alt.Tooltip("optimizer:N"),
                alt.Tooltip("draws:Q", title="rates drawn"),
                alt.Tooltip("accuracy:Q", title="expected accuracy (%)", format=".2f"),
            ],
        ),
        height=HEIGHT,
    )
