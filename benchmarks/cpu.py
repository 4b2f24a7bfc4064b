"""Processor time of processes and of the whole machine, as Linux counts it."""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
#: Of /proc/stat's first line: user, nice, system, (idle, iowait), irq, softirq. See proc(5).
_BUSY = (1, 2, 3, 6, 7)


def used_s(pids: Iterable[int]) -> float:
    """Processor seconds of processes so far, all threads, user and system."""
    total = 0
    for pid in pids:
        # The second field, the name, may hold blanks and brackets; it ends at the last bracket.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS_PER_S


def busy_s() -> float:
    """Processor seconds that the machine has spent on anything, over all its cores."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return sum(int(fields[i]) for i in _BUSY) / _TICKS_PER_S


@dataclass(frozen=True)
class Meter:
    """Reads what named groups of processes, and everything else, use of the processor."""

    groups: Mapping[str, tuple[int, ...]]

    def read(self) -> dict[str, float]:
        """Seconds so far: of each group, of the whole `machine`, and on the `wall`."""
        used = {name: used_s(pids) for name, pids in self.groups.items()}
        return {**used, "machine": busy_s(), "wall": time.monotonic()}

    def percent(self, since: Mapping[str, float]) -> dict[str, float]:
        """Percent of one core since an earlier `read`: each group, and what is `elsewhere`."""
        spent = {name: now_s - since[name] for name, now_s in self.read().items()}
        wall_s, machine_s = spent.pop("wall"), spent.pop("machine")
        spent["elsewhere"] = max(0.0, machine_s - sum(spent.values()))
        return {name: 100 * seconds / wall_s for name, seconds in spent.items()}
