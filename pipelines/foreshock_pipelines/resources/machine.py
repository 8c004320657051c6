"""Memory and cores that processes on this machine may use."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["available_cores", "available_memory"]

CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Files of memory limit and memory use, of cgroup version 2 and version 1."""
CPU_QUOTA = "/sys/fs/cgroup/cpu.max"


def available_memory() -> int:
    """Return the bytes of memory that are free: of the machine, or of the cgroup, if it has less."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    for limit_file, used_file in CGROUPS:
        try:
            limit, used = Path(limit_file).read_text().strip(), int(Path(used_file).read_text())
        except (OSError, ValueError):
            continue
        if limit.isdigit():
            free = min(free, max(0, int(limit) - used))
    return free


def available_cores() -> float:
    """Return the cores that this process may use: those of its affinity, or of the cgroup's quota, if less."""
    cores = float(len(os.sched_getaffinity(0)))
    try:
        quota, period = Path(CPU_QUOTA).read_text().split()
    except (OSError, ValueError):
        return cores
    return min(cores, int(quota) / int(period)) if quota.isdigit() else cores
