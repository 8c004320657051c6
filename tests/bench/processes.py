"""What a process and all that it started take: processor time, and memory without counting shared pages twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

__all__ = ["Peak", "Usage", "family", "peak_of", "usage"]


@dataclass(frozen=True)
class Usage:
    """What processes have taken.

    Attributes
    ----------
    memory : bytes, a page that n processes share counted as a share of 1/n each, whoever they are
    private : bytes that are theirs alone, so that other processes of the machine make no difference
    by_name, private_by_name, cpu_by_name : the same and seconds, by what the processes call themselves
    """

    cpu_seconds: float
    memory: int
    private: int
    by_name: dict[str, int]
    private_by_name: dict[str, int]
    cpu_by_name: dict[str, float]


@dataclass
class Peak:
    """Most memory seen, bytes; it may rise as long as the block runs."""

    memory: int = 0
    by_name: dict[str, int] = field(default_factory=dict)


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it started."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def usage(pid: int) -> Usage:
    """What a process and all that it started have taken until now."""
    cpu, memory, private = 0.0, 0, 0
    by_name: dict[str, int] = {}
    private_by_name: dict[str, int] = {}
    cpu_by_name: dict[str, float] = {}
    for process in family(pid):
        try:
            found, used = process.memory_full_info(), sum(process.cpu_times()[:2])
            name = _name(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        cpu, memory, private = cpu + used, memory + found.pss, private + found.uss
        by_name[name] = by_name.get(name, 0) + found.pss
        private_by_name[name] = private_by_name.get(name, 0) + found.uss
        cpu_by_name[name] = cpu_by_name.get(name, 0.0) + used
    return Usage(cpu, memory, private, by_name, private_by_name, cpu_by_name)


@contextmanager
def peak_of(pid: int, every: float = 0.25) -> Iterator[Peak]:
    """The most memory that a process and all that it started hold while the block runs."""
    peak, over = Peak(), threading.Event()

    def look() -> None:
        while not over.wait(every):
            now = usage(pid)
            if now.memory > peak.memory:
                peak.memory, peak.by_name = now.memory, now.by_name

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _name(process: psutil.Process) -> str:
    words = process.cmdline()
    first = words[0] if words else process.name()
    if first.startswith("ray::"):
        return first.partition(".")[0].strip()  # without the method that an actor is in just now
    parts = [word.rpartition("/")[2] for word in words[:4] if not word.startswith("-")]
    return " ".join(parts[:3])
