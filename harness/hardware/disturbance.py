"""Known causes of a machine's noise: other load, steal, clock rates, sibling cores."""

from __future__ import annotations

import os

import psutil


class DisturbanceWatch:
    """Watches the machine from its creation on."""

    def __init__(self) -> None:
        self._before = psutil.cpu_times()
        self._load_before = _load()

    def found(self) -> list[str]:
        """Returns what disturbs it, one sentence each; empty if nothing is known to."""
        return [*self._steal(), *self._load(), *_clock(), *_siblings()]

    def _steal(self) -> list[str]:
        """Time that a hypervisor gave to others."""
        now = psutil.cpu_times()
        total = sum(now) - sum(self._before)
        if not hasattr(now, "steal") or total <= 0:
            return []
        share = (now.steal - self._before.steal) / total
        return [f"Other virtual machines took {share:.1%} of the time (steal)."] if share > 0.005 else []

    def _load(self) -> list[str]:
        """Processes that wanted to run before the start."""
        if self._load_before < 0.3:
            return []
        return [f"Before the start, the load average was {self._load_before:.1f}."]


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _clock() -> list[str]:
    """Clock rates that may change."""
    try:
        rate = psutil.cpu_freq()
    except (OSError, NotImplementedError):
        rate = None
    if rate is None or not rate.max or rate.max <= rate.min:
        return []
    return [f"The clock rate may change from {rate.min:.0f} to {rate.max:.0f} MHz."]


def _siblings() -> list[str]:
    """Logical cores that share a physical one."""
    cores, physical = psutil.cpu_count(), psutil.cpu_count(logical=False)
    if not cores or not physical or cores <= physical:
        return []
    return [f"Its {cores} cores share {physical} physical ones."]
