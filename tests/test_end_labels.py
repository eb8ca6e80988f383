"""Names at the ends of lines: none overlaps another, and none is far from its line."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.figures.end_labels import label_positions
from tests.properties import at_any_speed

HEIGHT = 250


@at_any_speed
@given(st.lists(st.floats(0, HEIGHT), min_size=1, max_size=8))
def test_names_do_not_overlap_and_keep_the_order_of_their_lines(heights):
    ends = {f"line {at}": height for at, height in enumerate(heights)}
    places = label_positions(ends, HEIGHT)
    if not places:  # there is no room
        return
    assert {*places} == {*ends}
    found = [places[name] for name in sorted(ends, key=lambda name: (ends[name], places[name]))]
    assert all(below - above > 12 - 1e-6 for above, below in pairwise(found))
    assert all(abs(places[name] - ends[name]) < 15 + 1e-6 for name in ends)


@pytest.mark.parametrize(
    ("ends", "places"),
    [
        ((100, 112), (100, 112)),
        ((100, 111), (99.5, 111.5)),
        # The pair that touches, once apart, touches the first, and then the fourth.
        ((100, 113, 114), (97, 109, 121)),
        ((114, 113, 100), (121, 109, 97)),
        ((100, 113, 114, 127), (95.5, 107.5, 119.5, 131.5)),
        ((50, 100, 113, 114), (50, 97, 109, 121)),
    ],
)
def test_names_that_touch_are_centred_together(ends, places):
    found = label_positions({str(at): end for at, end in enumerate(ends)}, HEIGHT)
    assert [*found.values()] == pytest.approx(
        [place for _, place in sorted(zip(ends, places, strict=True))]
    )
    assert {int(name): place for name, place in found.items()} == pytest.approx(dict(enumerate(places)))
