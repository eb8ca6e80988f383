"""The machine's description in the files that pytest-benchmark saves."""

from __future__ import annotations

from typing import Any

import pytest

from ..hardware.machine import machine_of


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Adds the machine's description; drops the CPU's current clock rate, which always changes."""
    machine_info["suite"] = machine_of(config)
    for volatile in ("hz_actual", "hz_actual_friendly"):
        machine_info.get("cpu", {}).pop(volatile, None)
