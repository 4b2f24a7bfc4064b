"""Figures from calls that were made up."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchmarks.floor import FloorTimes
from benchmarks.open_loop import Call, Slice
from benchmarks.recommend_figures import Measured, Round, causes, figures, sustained
from benchmarks.report import Figure
from contracts.placestream.v1 import recommendation_pb2 as pb

STAGES_MS = {
    "near": 1.0,
    "candidates": 7.0,
    "features": 5.0,
    "ranking": 4.0,
    "post_processing": 0.5,
}
FLOOR = FloorTimes(get_ms=0.5, candidates_ms=3.0, mget_ms=2.0, ranker_ms=2.5, redis_bytes=9)


def answered(latency_ms: float, cause: str = "") -> Call[pb.RecommendResponse]:
    """A call that was answered, degraded if there is a cause."""
    level = pb.DEGRADATION_POPULARITY if cause else pb.DEGRADATION_NONE
    answer = pb.RecommendResponse(degradation=level, degradation_cause=cause)
    for stage, ms in STAGES_MS.items():
        answer.stages.add(stage=stage).duration.FromNanoseconds(round(1e6 * ms))
    return Call(10.0, 10.0, 10.0 + latency_ms / 1_000, answer, "")


def failed(latency_ms: float, error: str) -> Call[pb.RecommendResponse]:
    """A call that was not answered."""
    return Call(10.0, 10.0, 10.0 + latency_ms / 1_000, None, error)


def a_round(calls: Sequence[Call[pb.RecommendResponse]]) -> Round:
    """A round of these calls."""
    return Round(Slice(tuple(calls), answered_per_s=3.0), {"serve": 40.0})


def floor(latency_ms: float) -> Slice[FloorTimes]:
    """A round of the floor."""
    return Slice((Call(1.0, 1.0, 1.0 + latency_ms / 1_000, FLOOR, ""),), answered_per_s=1.0)


def by_name(found: Sequence[Figure]) -> dict[str, tuple[float, ...]]:
    """Values of figures; no name twice, for they become keys."""
    names = {figure.name: figure.values for figure in found}
    assert len(names) == len(found)
    return names


@pytest.fixture
def values() -> dict[str, tuple[float, ...]]:
    """Figures of two rounds: 20 and 30 ms against a floor of 10 and 12."""
    rounds = [a_round([answered(20)] * 3), a_round([answered(30)] * 2 + [failed(40, "ABORTED")])]
    floors = {50.0: [floor(10), floor(12)], 100.0: [floor(20), floor(60)]}
    return by_name(figures(Measured({50.0: rounds}, floors)))


def test_the_floor_is_compared_round_by_round(values: dict[str, tuple[float, ...]]) -> None:
    """20 / 10 and 30 / 12; and without the 2 ms of its MGET."""
    assert values["service p50 to floor p50 at 50/s"] == pytest.approx((2.0, 2.5))
    without = values["service p50 to floor p50 without its MGET at 50/s"]
    assert without == pytest.approx((2.5, 3.0))


def test_the_floor_is_told_at_each_rate(values: dict[str, tuple[float, ...]]) -> None:
    """At 100/s one of its two calls took 60 ms."""
    assert values["floor p50 at 50/s"] == pytest.approx((10, 12))
    assert values["floor p99 at 100/s"] == pytest.approx((20, 60))
    assert values["floor highest tested rate with p99 under 50 ms"] == (50.0,)


def test_own_work_is_what_the_calls_leave_of_the_stages(
    values: dict[str, tuple[float, ...]],
) -> None:
    """17.5 ms in all stages, less two model calls, 5.5 ms; the GET was hidden."""
    assert values["own work in candidates"] == pytest.approx((4.0, 4.0))
    assert values["own work in features"] == pytest.approx((5.0, 5.0))
    assert values["own work in ranking"] == pytest.approx((1.5, 1.5))
    assert values["own work in all stages"] == pytest.approx((12.0, 12.0))
    assert values["around the stages p50"] == pytest.approx((2.5, 12.5))


def test_what_the_near_stage_does_not_hide_of_the_get_is_no_work() -> None:
    """It takes 2.5 ms, the near stage 1; the features stage waits for the rest."""
    slow = replace(FLOOR, get_ms=2.5)
    part = Slice((Call(1.0, 1.0, 1.01, slow, ""),), answered_per_s=1.0)
    found = by_name(figures(Measured({50.0: [a_round([answered(20)])]}, {50.0: [part]})))
    assert found["own work in features"] == pytest.approx((3.5,))
    assert found["own work in all stages"] == pytest.approx((10.5,))


def test_errors_count_in_latency(values: dict[str, tuple[float, ...]]) -> None:
    """The failed call's 40 ms are the second round's worst."""
    assert values["errors at 50/s"] == pytest.approx((0, 1 / 3))
    assert values["latency p50 at 50/s"] == pytest.approx((20, 30))
    assert values["latency p99 at 50/s"][1] == pytest.approx(30 + 0.98 * 10)


@pytest.mark.parametrize(
    ("spoiled", "held"),
    [
        (answered(49), 200.0),
        (answered(51), 100.0),
        (answered(10, "the ranker is gone"), 100.0),
        (failed(10, "UNAVAILABLE"), 100.0),
    ],
)
def test_a_rate_is_sustained_if_quick_whole_and_without_errors(
    spoiled: Call[pb.RecommendResponse], held: float
) -> None:
    """Three of forty calls at 200/s are slow, degraded or failed: then only 100/s was held."""
    quick = [a_round([answered(10)] * 40)]
    assert sustained({100.0: quick, 200.0: [a_round([answered(10)] * 37 + [spoiled] * 3)]}) == held


def test_no_rate_may_be_sustained() -> None:
    """Then the figure is 0."""
    assert sustained({50.0: [a_round([answered(60)] * 3)]}) == 0.0


def test_causes_differ_by_kind_and_not_by_figure() -> None:
    """Time-outs after 15 and 8 ms are one cause, met twice."""
    calls = [
        answered(1, "the ranker gave no answer within 15 ms; the store failed"),
        answered(1, "the ranker gave no answer within 8 ms"),
        answered(1),
        failed(1, "UNAVAILABLE"),
    ]
    assert causes(Measured({50.0: [a_round(calls)]}, {})) == {
        "the ranker gave no answer within # ms": 2,
        "the store failed": 1,
        "UNAVAILABLE": 1,
    }
