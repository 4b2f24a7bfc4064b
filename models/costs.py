"""What each stage of a training costs: time, rows a second, cores, memory.

One piece for the trainer, whose log, card and MLflow run tell it, and for `benchmarks.training`.
"""

import os
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from models.progress import Reporter, Stage

log = structlog.get_logger(__name__)
_RESET_PEAK = "5"  # proc(5), clear_refs: the high-water mark of resident memory begins anew


@dataclass(frozen=True)
class Cost:
    """What one stage took, without the stages within it.

    Attributes:
        stage: its name; times and rows of stages of one name are added up.
        seconds: wall time.
        cpu_s: processor time of the whole process, all threads, user and system.
        rows: rows that it made or read; 0 where it does not work by rows.
        peak_rss_mb: most resident memory of the process while it ran, where the kernel allows to
            ask for it (Linux, for the process itself); else up to its end. 10^6 bytes.
    """

    stage: str
    seconds: float
    cpu_s: float
    rows: int
    peak_rss_mb: float

    @property
    def rows_per_s(self) -> float:
        """Rows a second of wall time."""
        return self.rows / max(self.seconds, 1e-9)

    @property
    def cpu_cores(self) -> float:
        """Cores in use, on average."""
        return self.cpu_s / max(self.seconds, 1e-9)

    def plus(self, other: "Cost") -> "Cost":
        """Both together, under this name."""
        return Cost(
            self.stage,
            self.seconds + other.seconds,
            self.cpu_s + other.cpu_s,
            self.rows + other.rows,
            max(self.peak_rss_mb, other.peak_rss_mb),
        )

    def figures(self) -> dict[str, float]:
        """What is written down of it; units in the names."""
        said = {
            "seconds": round(self.seconds, 3),
            "cpu_cores": round(self.cpu_cores, 2),
            "peak_rss_mb": round(self.peak_rss_mb, 1),
        }
        return said | ({"rows_per_s": round(self.rows_per_s, 1)} if self.rows else {})


def total(costs: Sequence[Cost]) -> Cost:
    """All stages together; rows are those of the stage that handled most."""
    whole = Cost("total", 0.0, 0.0, 0, 0.0)
    for cost in costs:
        whole = whole.plus(cost)
    most = max((cost.rows for cost in costs), default=0)
    return Cost("total", whole.seconds, whole.cpu_s, most, whole.peak_rss_mb)


@dataclass
class _Open:
    """A stage that runs; what it has used until it was last interrupted."""

    name: str
    rows_each: int
    rows: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    peak_rss_mb: float = 0.0


class _Counted:
    """A stage of another reporter, whose steps are counted."""

    def __init__(self, stage: Stage, opened: _Open) -> None:
        self._stage, self._opened = stage, opened

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count, and pass on."""
        self._opened.rows += steps * self._opened.rows_each
        self._stage.advance(steps, note)


class Metered:
    """Shows stages as another reporter does, and measures them.

    A stage within a stage is measured apart from it.

    Args:
        shown: who shows them.
    """

    def __init__(self, shown: Reporter) -> None:
        self._shown = shown
        self._costs: dict[str, Cost] = {}
        self._open: list[_Open] = []
        self._since = _now()

    @property
    def costs(self) -> tuple[Cost, ...]:
        """Of the stages that have ended, in that order."""
        return tuple(self._costs.values())

    @contextmanager
    def stage(self, name: str, total: int | None, rows_each: int = 1) -> Iterator[Stage]:
        """A stage; measured also if it fails."""
        self._book()
        opened = _Open(name, rows_each)
        self._open.append(opened)
        try:
            with self._shown.stage(name, total, rows_each) as stage:
                yield _Counted(stage, opened)
        finally:
            self._book()
            self._open.pop()
            self._end(opened)

    def _book(self) -> None:
        """Charge what was used since the last call to the innermost stage."""
        now = _now()
        if self._open:
            innermost = self._open[-1]
            innermost.seconds += now[0] - self._since[0]
            innermost.cpu_s += now[1] - self._since[1]
            innermost.peak_rss_mb = max(innermost.peak_rss_mb, _peak_rss_mb())
        _forget_peak()
        self._since = now

    def _end(self, opened: _Open) -> None:
        cost = Cost(opened.name, opened.seconds, opened.cpu_s, opened.rows, opened.peak_rss_mb)
        before = self._costs.get(opened.name)
        self._costs[opened.name] = before.plus(cost) if before else cost
        log.info("stage_cost", stage=cost.stage, **cost.figures())


def _now() -> tuple[float, float]:
    """Wall and processor seconds."""
    return time.perf_counter(), time.process_time()


def _peak_rss_mb() -> float:
    """The high-water mark of resident memory, 10^6 bytes."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1_024 / 1e6
    # macOS counts bytes, others kilobytes.
    unit = 1 if os.uname().sysname == "Darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _forget_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
