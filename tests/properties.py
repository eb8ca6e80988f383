"""Settings of property tests (Hypothesis) for machines that others use, too."""

from hypothesis import HealthCheck, settings

at_any_speed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""No test fails because the machine was busy."""
