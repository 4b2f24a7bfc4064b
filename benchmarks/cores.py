"""Keeping what is measured on a core of its own."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

#: The measured core, and the others.
Cores = tuple[set[int], set[int]]


def pin(pid: int, cores: set[int]) -> None:
    """Pin every thread of a process; threads that it makes later inherit that."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
            os.sched_setaffinity(int(task.name), cores)


def split() -> Cores:
    """(the measured core, the others); both all cores where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return set(cores), set(cores)
    return {cores[-1]}, set(cores[:-1])


def pinned(cores: set[int]) -> Callable[[], None]:
    """For `preexec_fn`: pin a new process before it starts."""
    return lambda: os.sched_setaffinity(0, cores)
