import pytest

# Else each session in this process would warn that it cannot rewrite these modules' assertions.
pytest.register_assert_rewrite(
    "harness.plugin", "harness.timing", "harness.gates", "tests.fakes", "tests.small"
)
