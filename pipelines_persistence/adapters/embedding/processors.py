"""What this process may compute with."""

import math
import os
from functools import cache
from pathlib import Path
from typing import Any


@cache
def core() -> Any:  # noqa: ANN401 - OpenVINO ships no types
    """Return OpenVINO's entry point, one a process: it holds the plug-in for the processor."""
    import openvino

    return openvino.Core()


@cache
def has_bf16() -> bool:
    """Whether OpenVINO computes in bfloat16 here, instead of emulating it."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def available_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many processors this process may use: those of its affinity, within its container's quota."""
    quota = _quota(cgroup)
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(count, math.ceil(quota))) if quota else count


def _quota(cgroup: Path) -> float | None:
    """Processors that the container may use, of cgroup version 2 or 1; None where it is not limited."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
        period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
    except OSError:
        return None
    return int(quota) / int(period) if int(quota) > 0 else None
