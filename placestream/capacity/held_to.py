"""The small case that was measured, and what the simulation says of it.

One `serve`, one model server and one Redis on two cores that all parts share, under open-loop load
(`python -m benchmarks.recommend --rates 10,50,100 --seconds 5`, 2026-11-28, at 206eb9c: before
features ran in compiled loops).
Three constants were fitted to the load of 10/s (`waited_ratio`, `service_spread`; `around_ms` was
measured there). What it says of 50/s is foretold.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from placestream.capacity.constants import Constants
from placestream.capacity.scenario import latencies_ms

#: So far off a simulation may be and be believed.
WITHIN = 0.2


@dataclass(frozen=True)
class Case:
    """Latency under a load, milliseconds."""

    per_s: float
    p50_ms: float
    p99_ms: float


FITTED, HELD_OUT = Case(10, 20.3, 52.8), Case(50, 25.3, 106.0)


@cache
def simulated(per_s: float, per: Constants) -> Case:
    """The same installation, simulated."""
    read_s = (per.redis_us_per_command + per.places_per_request * per.redis_us_per_key) / 1e6
    took_ms = latencies_ms(per_s, 1, 1, read_s, per, np.random.default_rng(1))
    return Case(per_s, *(float(np.quantile(took_ms, q)) for q in (0.5, 0.99)))


def told(per: Constants) -> str:
    """How well what was foretold fits, in words."""
    found = simulated(HELD_OUT.per_s, per)
    ratios = found.p50_ms / HELD_OUT.p50_ms, found.p99_ms / HELD_OUT.p99_ms
    off = [
        name for name, ratio in zip(("p50", "p99"), ratios, strict=True) if abs(ratio - 1) > WITHIN
    ]
    verdict = f"do not believe the {' and '.join(off)} above" if off else "within 20 %"
    return (
        f"Fitted to a measured {FITTED.per_s:g} requests/s, it says of a measured "
        f"{HELD_OUT.per_s:g}/s: p50 {ratios[0]:.2f} and p99 {ratios[1]:.2f} times what it was: "
        f"{verdict}."
    )
