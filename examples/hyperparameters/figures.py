"""The figure that this study adds: how many published accuracies agree with a guess, by epoch."""

import altair as alt

from examples.hyperparameters.agreement import agreements, lack_seeds
from harness.report.figures.figure import HEIGHT, Figure, layered, side_by_side
from harness.report.series import COLOURS, SHAPES

_EVERY = 10  # epochs between two marks of a line


def agreement_by_epoch(results, compare, guess):
    """Draws a line for each guess; None if rows did not run, or have one seed.

    `compare` returns the comparisons by guess, from a function that returns the training of a row, and
    `guess` is the word for a guess.
    """
    try:
        guesses = compare(results.trainings.__getitem__)
    except KeyError:
        return None
    if lack_seeds(guesses):
        return None
    labels = {value: f"{guess} {value}".strip() for value in guesses}
    rows = [
        {"guess": labels[value], "epoch": epoch, "agree": count}
        for value, comparisons in guesses.items()
        for epoch, count in enumerate(agreements(comparisons).tolist())
        if epoch
    ]
    name = f"agreement-{results.slug}"
    of = len(next(iter(guesses.values())))
    return Figure(
        title="Published accuracies that agree, by epoch",
        notes=f"Of {of} published accuracies, how many are in the 95 % prediction interval for one more "
        "seed.",
        variants={"all": side_by_side([_panel(name, [*labels.values()], of)])},
        data={name: rows},
    )


def _panel(name, labels, of):
    looks = [at % len(COLOURS) for at in range(len(labels))]
    legend = alt.Legend(title=None, orient="bottom", columns=5, symbolOpacity=1)
    colour = alt.Color(
        "guess:N",
        scale=alt.Scale(domain=labels, range=[COLOURS[at] for at in looks]),
        legend=legend if len(labels) > 1 else None,
    )
    shape = alt.Shape(
        "guess:N",
        scale=alt.Scale(domain=labels, range=[SHAPES[at] for at in looks]),
        legend=legend if len(labels) > 1 else None,
    )
    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1))
    y = alt.Y(
        "agree:Q",
        title="published accuracies that agree",
        scale=alt.Scale(domain=[0, of]),
        axis=alt.Axis(tickMinStep=1),
    )
    tooltip = [
        *([alt.Tooltip("guess:N")] if len(labels) > 1 else []),
        alt.Tooltip("epoch:Q"),
        alt.Tooltip("agree:Q", title="agree"),
    ]
    base = alt.Chart(alt.NamedData(name))
    marked = base.transform_filter(f"datum.epoch % {_EVERY} == 0 || datum.epoch == 1")
    return layered(
        base.mark_line(strokeWidth=1.8, interpolate="step-after").encode(x, y, color=colour),
        marked.mark_point(size=50, filled=True, opacity=1).encode(
            x, y, color=colour, shape=shape, tooltip=tooltip
        ),
        height=HEIGHT,
    )
