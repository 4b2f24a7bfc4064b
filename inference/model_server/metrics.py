"""The server's metrics under TF Serving's own names, in Prometheus' text format.

Written by hand because the names and types must be the real ones: prometheus_client ends every
counter's name in `_total`, which `:tensorflow:serving:request_count` does not. Latencies are in
microseconds. Source: prometheus_exporter.cc, servables/tensorflow/util.cc.
"""

import re
import threading
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from typing import ClassVar, Final

PATH: Final = "/monitoring/prometheus/metrics"

# 33 limits from 10 us, each 1.8 times the one before: up to about 20 minutes.
LATENCY_LIMITS_US: Final = tuple(10 * 1.8**i for i in range(33))
# Examples of one request: 1, 2, 4... up to 16,384.
EXAMPLE_LIMITS: Final = tuple(2.0**i for i in range(15))


def _name(path: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", ":", path)


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class Family(ABC):
    """One metric: its name, and one cell for each combination of label values."""

    kind: ClassVar[str]

    def __init__(self, path: str, labels: Sequence[str], what: str = "") -> None:
        self.path = path
        self.name = _name(path)
        self.labels = tuple(labels)
        #: What it measures, for docs/metrics.md: the real page has no help either.
        self.what = what
        self._lock = threading.Lock()

    def _pairs(self, values: tuple[str, ...]) -> str:
        pairs = zip(self.labels, values, strict=True)
        return ",".join(f'{label}="{_escape(value)}"' for label, value in pairs)

    @abstractmethod
    def lines(self) -> list[str]:
        """The cells as lines of the text format."""

    @abstractmethod
    def total(self) -> int:
        """The number that `ReloadConfigRequest.metric_names` asks for."""


class Counter(Family):
    """Counts up."""

    kind = "counter"

    def __init__(self, path: str, labels: Sequence[str], what: str = "") -> None:
        super().__init__(path, labels, what)
        self._cells: dict[tuple[str, ...], int] = {}

    def add(self, *values: str, by: int = 1) -> None:
        """Count `by` for these label values."""
        with self._lock:
            self._cells[values] = self._cells.get(values, 0) + by

    def value(self, *values: str) -> int:
        """What was counted for these label values."""
        return self._cells.get(values, 0)

    def total(self) -> int:
        """The first cell's count, as the real server takes it."""
        with self._lock:
            return next(iter(self._cells.values()), 0)

    def lines(self) -> list[str]:
        with self._lock:
            cells = sorted(self._cells.items())
        return [f"{self.name}{{{self._pairs(values)}}} {count}" for values, count in cells]


class Histogram(Family):
    """Counts observations by size."""

    kind = "histogram"

    def __init__(
        self, path: str, labels: Sequence[str], limits: Sequence[float], what: str = ""
    ) -> None:
        super().__init__(path, labels, what)
        self._limits = tuple(limits)
        # Per cell: a count for each bucket and one for what is above all limits, and the sum.
        self._cells: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def observe(self, value: float, *values: str) -> None:
        """Record one observation for these label values."""
        with self._lock:
            cell = self._cells.get(values)
            if cell is None:
                cell = self._cells[values] = ([0] * (len(self._limits) + 1), [0.0])
            # A value on a limit counts above it, though the page says "le" (histogram.cc).
            cell[0][bisect_right(self._limits, value)] += 1
            cell[1][0] += value

    def count(self, *values: str) -> int:
        """How many observations these label values have."""
        with self._lock:
            return sum(self._cells[values][0]) if values in self._cells else 0

    def total(self) -> int:
        """A histogram has no integer value; the real server reports 0."""
        return 0

    def lines(self) -> list[str]:
        with self._lock:
            cells = [(v, list(counts), total[0]) for v, (counts, total) in self._cells.items()]
        lines = []
        for values, counts, total in sorted(cells):
            pairs = self._pairs(values)
            below = 0
            for limit, count in zip([*self._limits, None], counts, strict=True):
                below += count
                edge = "+Inf" if limit is None else f"{limit:g}"
                lines.append(f'{self.name}_bucket{{{pairs},le="{edge}"}} {below}')
            lines.append(f"{self.name}_sum{{{pairs}}} {total!r}")
            lines.append(f"{self.name}_count{{{pairs}}} {below}")
        return lines


class Metrics:
    """All metrics of one server."""

    def __init__(self) -> None:
        serving, loading = "/tensorflow/serving", "/tensorflow/cc/saved_model"
        self.request_count = Counter(
            f"{serving}/request_count", ["model_name", "status"], "Calls by model and status"
        )
        self.request_latency = Histogram(
            f"{serving}/request_latency",
            ["model_name", "API", "entrypoint"],
            LATENCY_LIMITS_US,
            "Microseconds from a call's arrival to its answer",
        )
        self.runtime_latency = Histogram(
            f"{serving}/runtime_latency",
            ["model_name", "API", "runtime"],
            LATENCY_LIMITS_US,
            "Microseconds of that in the model",
        )
        self.example_counts = Histogram(
            f"{serving}/request_example_counts", ["model"], EXAMPLE_LIMITS, "Rows of a call"
        )
        self.example_total = Counter(
            f"{serving}/request_example_count_total", ["model"], "Rows of all calls"
        )
        self.warmup_latency = Histogram(
            f"{serving}/model_warmup_latency",
            ["model_path", "status"],
            LATENCY_LIMITS_US,
            "Microseconds that the warm-up of a version took",
        )
        self.warmup_records = Counter(
            f"{serving}/model_warmup_records_read",
            ["model_path", "status"],
            "Warm-up records that were read",
        )
        self.load_attempts = Counter(
            f"{loading}/load_attempt_count", ["model_path", "status"], "Versions loaded, or not"
        )
        self.load_latency = Counter(
            f"{loading}/load_latency", ["model_path"], "Microseconds that loading took, in all"
        )
        self._families: tuple[Family, ...] = (
            self.request_count,
            self.request_latency,
            self.runtime_latency,
            self.example_counts,
            self.example_total,
            self.warmup_latency,
            self.warmup_records,
            self.load_attempts,
            self.load_latency,
        )

    def total(self, path: str) -> int:
        """The value of a metric by TensorFlow's name for it; 0 if there is none."""
        return next((family.total() for family in self._families if family.path == path), 0)

    def page(self) -> str:
        """The page at `PATH`."""
        lines: list[str] = []
        for family in sorted(self._families, key=lambda family: family.name):
            lines.append(f"# TYPE {family.name} {family.kind}")
            lines.extend(family.lines())
        return "\n".join(lines) + "\n"
