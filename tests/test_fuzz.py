"""A few mutations of each kind of file; `make fuzz` tries thousands."""

import pytest
from hypothesis import given, settings

from tests.fuzz import KINDS, check, mutations
from tests.properties import at_any_speed


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_file_is_accepted_or_refused_in_one_line(tmp_path, kind):
    @settings(at_any_speed, max_examples=40, database=None)
    @given(mutation=mutations(kind))
    def fuzz(mutation):
        check(kind, tmp_path, mutation)

    fuzz()
