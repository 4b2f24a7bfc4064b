"""Figures of `benchmarks.training`: seconds, rows a second, cores and memory of a training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from benchmarks.report import Figure, ratio
from models.costs import Cost

#: What New York's 227,428 check-ins may take: the whole of a training, seconds.
REFERENCE_S = 240.0
TOTAL = "total"


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        interactions: of its log.
        stages: cost of each, by name; `total` among them.
    """

    interactions: int
    stages: Mapping[str, Cost]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """From what the child process says."""
        stages = {name: Cost(name, **cost) for name, cost in told["stages"].items()}
        return cls(told["interactions"], stages)

    @property
    def total(self) -> Cost:
        """All stages together."""
        return self.stages[TOTAL]

    @property
    def facts(self) -> dict[str, object]:
        """What is the same in every round."""
        return {"interactions": self.interactions}


def of_city(trainings: Sequence[Training]) -> list[Figure]:
    """Of several trainings on the same log: each stage, and the whole beside its reference."""
    figures: list[Figure] = []
    for stage, cost in trainings[0].stages.items():
        costs = [training.stages[stage] for training in trainings]
        figures.append(Figure(stage, "s", tuple(c.seconds for c in costs)))
        if cost.rows and stage != TOTAL:
            figures.append(Figure(stage, "rows/s", tuple(c.rows_per_s for c in costs)))
        figures.append(Figure(stage, "cores", tuple(c.cpu_cores for c in costs)))
        figures.append(Figure(stage, "peak MB", tuple(c.peak_rss_mb for c in costs)))
    total = Figure(TOTAL, "s", tuple(t.total.seconds for t in trainings))
    per_s = tuple(t.interactions / t.total.seconds for t in trainings)
    reference = Figure("reference", "s", (REFERENCE_S,) * len(trainings))
    return [
        *figures,
        Figure("interactions", "rows/s", per_s),
        reference,
        ratio("total / reference", total, reference),
    ]


def curve(cities: Sequence[Training]) -> list[Figure]:
    """Seconds and memory of trainings on logs of several sizes."""
    figures = []
    for city in cities:
        name = f"simulated {city.interactions}"
        figures += [
            Figure(name, "s", (city.total.seconds,)),
            Figure(name, "rows/s", (city.interactions / city.total.seconds,)),
            Figure(name, "cores", (city.total.cpu_cores,)),
            Figure(name, "peak MB", (city.total.peak_rss_mb,)),
            *(
                Figure(f"{name} {stage}", "s", (cost.seconds,))
                for stage, cost in city.stages.items()
                if stage != TOTAL
            ),
        ]
    return figures


def slopes(cities: Sequence[Training]) -> dict[str, object]:
    """What each further interaction costs, from one size to the next and over all of them.

    Time on a log-log scale too: an exponent of 1 is time that grows as the log does.
    """
    rows = np.array([city.interactions for city in cities], np.float64)
    seconds = np.array([city.total.seconds for city in cities])
    mb = np.array([city.total.peak_rss_mb for city in cities])
    by_size = 1e6 * np.diff(mb) / np.diff(rows)
    return {
        "slope_bytes_per_row": round(float(1e6 * (mb[-1] - mb[0]) / (rows[-1] - rows[0])), 1),
        "slope_bytes_per_row_by_size": [round(float(value), 1) for value in by_size],
        "slope_us_per_row": round(
            float(1e6 * (seconds[-1] - seconds[0]) / (rows[-1] - rows[0])), 2
        ),
        "time_exponent": round(float(np.polyfit(np.log(rows), np.log(seconds), 1)[0]), 3),
    }
