"""From the calls of a run to the figures of `benchmarks.recommend`."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.floor import FloorTimes
from benchmarks.open_loop import Slice
from benchmarks.report import Figure, ratio
from contracts.placestream.v1 import recommendation_pb2 as pb

#: The objective on the 99th percentile.
OBJECTIVE_MS = 50.0
#: More degraded answers than this, and a rate is not sustained: a quick answer must be whole too.
DEGRADED_MOST_RATIO = 0.01
#: What stages wait for. The features stage waits for what of the user's GET is not over when the
#: near stage is; what it reads of places that have changed counts as its own.
_WAITS_FOR = {"candidates": "candidates", "features": "", "ranking": "ranker"}


@dataclass(frozen=True)
class Round:
    """One round at one rate: the calls, and percent of one core by who used it."""

    load: Slice[pb.RecommendResponse]
    cpu_percent: Mapping[str, float]


@dataclass(frozen=True)
class Measured:
    """A whole run.

    Attributes:
        by_rate: rounds of the service, by requests a second, ascending.
        floor: rounds of the floor by the same rates, beside those of the service.
    """

    by_rate: Mapping[float, Sequence[Round]]
    floor: Mapping[float, Sequence[Slice[FloorTimes]]]

    @property
    def lowest(self) -> float:
        """The rate at which stages, and their ratio to the floor, are looked at: without queues."""
        return min(self.by_rate)


def figures(measured: Measured) -> list[Figure]:
    """All figures of a run."""
    result = [
        figure for rate, rounds in measured.by_rate.items() for figure in _at_rate(rate, rounds)
    ]
    result.append(Figure(_SUSTAINED, "requests/s", (sustained(measured.by_rate),)))
    return result + _stages(measured) + _against_floor(measured) + _floor_at_rates(measured)


_SUSTAINED = f"highest tested rate with p99 under {OBJECTIVE_MS:.0f} ms"


def sustained(by_rate: Mapping[float, Sequence[Round]]) -> float:
    """The highest rate that held the objective, all rounds taken together; 0 if none did.

    Held means: p99 under `OBJECTIVE_MS`, no error, at most `DEGRADED_MOST_RATIO` degraded.
    """
    return max((rate for rate, rounds in by_rate.items() if _held(rounds)), default=0.0)


def _held(rounds: Sequence[Round]) -> bool:
    latencies_ms = [ms for r in rounds for ms in r.load.latencies_ms]
    answers = [answer for r in rounds for answer in r.load.answers]
    return (
        len(answers) == len(latencies_ms)
        and _degraded(answers) <= DEGRADED_MOST_RATIO
        and _percentile(latencies_ms, 99) < OBJECTIVE_MS
    )


def causes(measured: Measured) -> dict[str, int]:
    """How often each error, and each cause of a degraded answer, was met; figures left out."""
    loads = [r.load for rounds in measured.by_rate.values() for r in rounds]
    said = [error for load in loads for error in load.errors]
    for load in loads:
        for answer in load.answers:
            said += answer.degradation_cause.split("; ")
    return dict(Counter(re.sub(r"\d+", "#", cause) for cause in said if cause))


def _at_rate(rate: float, rounds: Sequence[Round]) -> list[Figure]:
    def figure(name: str, unit: str, of: Callable[[Round], float]) -> Figure:
        return Figure(f"{name} at {rate:g}/s", unit, tuple(of(r) for r in rounds))

    return [
        *(
            figure(f"latency p{p}", "ms", lambda r, p=p: _percentile(r.load.latencies_ms, p))  # type: ignore[misc]
            for p in (50, 95, 99)
        ),
        figure("answered", "answers/s", lambda r: r.load.answered_per_s),
        figure("errors", "ratio", lambda r: len(r.load.errors) / len(r.load.calls)),
        figure("degraded", "ratio", lambda r: _degraded(r.load.answers)),
        figure("sent late by the client p99", "ms", lambda r: _percentile(r.load.lags_ms, 99)),
        *(
            figure(f"cpu of {who}", "percent of a core", lambda r, who=who: r.cpu_percent[who])  # type: ignore[misc]
            for who in rounds[0].cpu_percent
        ),
    ]


def _stages(measured: Measured) -> list[Figure]:
    """Time in each stage, and what of it is the service's own work."""
    stage_ms = [_stage_ms(r) for r in measured.by_rate[measured.lowest]]
    floors = [_floor_ms(part) for part in measured.floor[measured.lowest]]
    result = [
        Figure(f"stage {stage} p50", "ms", tuple(ms[stage] for ms in stage_ms))
        for stage in stage_ms[0]
    ]
    own = [_own_ms(ms, floor) for ms, floor in zip(stage_ms, floors, strict=True)]
    for stage in _WAITS_FOR:
        result.append(Figure(f"own work in {stage}", "ms", tuple(ms[stage] for ms in own)))
    result.append(Figure("own work in all stages", "ms", tuple(sum(ms.values()) for ms in own)))
    rounds = measured.by_rate[measured.lowest]
    around = tuple(_percentile(_around_ms(r.load), 50) for r in rounds)
    result.append(Figure("around the stages p50", "ms", around))
    return result


def _own_ms(stage_ms: Mapping[str, float], floor_ms: Mapping[str, float]) -> dict[str, float]:
    own = {
        stage: ms - floor_ms.get(_WAITS_FOR.get(stage, ""), 0.0) for stage, ms in stage_ms.items()
    }
    own["features"] -= max(0.0, floor_ms["get"] - stage_ms["near"])
    return own


def _against_floor(measured: Measured) -> list[Figure]:
    rounds = measured.by_rate[measured.lowest]
    service = Figure("", "ms", tuple(_percentile(r.load.latencies_ms, 50) for r in rounds))
    floor = _floor_latency(measured, measured.lowest, 50)
    parts = [_floor_ms(part) for part in measured.floor[measured.lowest]]
    return [
        *(Figure(f"floor {name} p50", "ms", tuple(ms[name] for ms in parts)) for name in parts[0]),
        ratio(f"service p50 to floor p50 at {measured.lowest:g}/s", service, floor),
        ratio(
            f"service p50 to floor p50 without its MGET at {measured.lowest:g}/s",
            service,
            Figure(
                "",
                "ms",
                tuple(ms - of["mget"] for ms, of in zip(floor.values, parts, strict=True)),
            ),
        ),
    ]


def _floor_at_rates(measured: Measured) -> list[Figure]:
    """What the same reads and model calls come to at each rate, with nothing around them."""
    percentiles = [
        _floor_latency(measured, rate, p) for rate in sorted(measured.floor) for p in (50, 99)
    ]
    held = [
        rate
        for rate, parts in measured.floor.items()
        if not any(part.errors for part in parts)
        and _percentile([ms for part in parts for ms in part.latencies_ms], 99) < OBJECTIVE_MS
    ]
    highest = Figure(f"floor {_SUSTAINED}", "requests/s", (max(held, default=0.0),))
    return [*percentiles, highest]


def _floor_latency(measured: Measured, rate: float, p: float) -> Figure:
    values = tuple(_percentile(part.latencies_ms, p) for part in measured.floor[rate])
    return Figure(f"floor p{p:g} at {rate:g}/s", "ms", values)


def _degraded(answers: Sequence[pb.RecommendResponse]) -> float:
    below = sum(answer.degradation != pb.DEGRADATION_NONE for answer in answers)
    return below / max(1, len(answers))


def _stage_ms(done: Round) -> dict[str, float]:
    """Median milliseconds in each stage."""
    by_stage: dict[str, list[float]] = {}
    for answer in done.load.answers:
        for stage in answer.stages:
            by_stage.setdefault(stage.stage, []).append(stage.duration.ToNanoseconds() / 1e6)
    if not by_stage:
        raise RuntimeError(f"no answer at the lowest rate: {Counter(done.load.errors)}")
    return {stage: _percentile(ms, 50) for stage, ms in by_stage.items()}


def _around_ms(load: Slice[pb.RecommendResponse]) -> list[float]:
    """What each call took beyond its stages: the client, gRPC on both sides, and waiting."""
    return [
        call.latency_ms - sum(s.duration.ToNanoseconds() for s in call.answer.stages) / 1e6
        for call in load.calls
        if call.answer is not None
    ]


def _floor_ms(part: Slice[FloorTimes]) -> dict[str, float]:
    """Median milliseconds of each step of the floor."""
    return {
        "get": _percentile((times.get_ms for times in part.answers), 50),
        "candidates": _percentile((times.candidates_ms for times in part.answers), 50),
        "mget": _percentile((times.mget_ms for times in part.answers), 50),
        "ranker": _percentile((times.ranker_ms for times in part.answers), 50),
    }


def _percentile(values: Iterable[float], p: float) -> float:
    return float(np.percentile(np.fromiter(values, np.float64), p))
