"""A few mutations of each kind of file; `make fuzz` tries thousands."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz import KINDS, check, mutations


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_file_is_accepted_or_refused_in_one_line(tmp_path, kind):
    @settings(
        max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(mutation=mutations(kind))
    def fuzz(mutation):
        check(kind, tmp_path, mutation)

    fuzz()
