"""Figures of the backfill beside the replay, from runs with known seconds and memory."""

from pathlib import Path

import pytest

from benchmarks.backfill import Run, figures, slope
from benchmarks.backfill_child import by_replay
from online_features.archive import read_interactions
from placestream.simulation.city import City
from placestream.simulation.plan import Plan
from placestream.simulation.to_archive import write_archive


def test_events_a_second_are_of_each_core_and_the_start_does_not_count() -> None:
    """1,000 events in 5 s on two cores are 100 a core; in 4 s on one 250: a ratio of 0.4."""
    spark, replay = [Run(5.0, 60.0, 7, 900.0)], [Run(4.0, 0.0, 7, 300.0)]
    found = {(f.name, f.unit): f.median for f in figures(1_000, spark, replay, cores=2)}
    assert found["1000 events backfill", "events/s/core"] == 100
    assert found["1000 events replay", "events/s/core"] == 250
    assert found["1000 events backfill / replay", "ratio"] == pytest.approx(0.4)
    assert found["1000 events backfill starts in", "s"] == 60


def test_memory_grows_by_the_event() -> None:
    """From the greatest peak at the least size to the greatest at the largest: 100 MB for 10^6."""
    small = [Run(1.0, 0.0, 1, peak) for peak in (480.0, 500.0)]
    large = [Run(1.0, 0.0, 1, 600.0)]
    assert slope([100_000, 1_100_000], [small, large]) == 100.0


def test_the_replay_answers_for_each_day_and_hour_with_an_event(tmp_path: Path) -> None:
    """As many rows as the tables have: distinct user days and place hours of what counts."""
    city = City(Plan(users=20, places=30, days=2), ending_s=1.75e9, seed=3)
    assert write_archive(city, tmp_path) > 100
    log = read_interactions(tmp_path)
    days = {(u, t // 86_400) for u, t in zip(log.user_id, log.time_s, strict=True)}
    hours = {(p, t // 3_600) for p, t in zip(log.place_id, log.time_s, strict=True)}
    # A simulated city sends nothing twice.
    assert by_replay(tmp_path)["rows"] == len(days) + len(hours)


def test_sets_a_second_are_of_each_core() -> None:
    """Of the sets that were made, whatever the number of events: 60 in 3 s on two cores are 10."""
    spark, replay = [Run(3.0, 60.0, 60, 900.0)], [Run(2.0, 0.0, 60, 300.0)]
    found = {(f.name, f.unit): f.median for f in figures(1_000, spark, replay, 2, sets=True)}
    assert found["1000 events backfill", "sets/s/core"] == 10
    assert found["1000 events replay", "sets/s/core"] == 30
    assert found["1000 events backfill / replay", "ratio"] == pytest.approx(1 / 3)
