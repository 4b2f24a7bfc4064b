"""`python -m benchmarks.freshness` at tiny size: what it prints, not how fresh it is."""

from typing import Any

import pytest

from tests.benchmarks.printed import printed_by

pytestmark = pytest.mark.slow

TINY = (
    "--untrained --users 60 --places 80 --days 1 --rate 50 --probes-per-s 5 --seconds 2 "
    "--rounds 2 --warm-up-s 1 --json"
)
KINDS = ("send_to_reflecting_answer", "send_to_readable_in_Redis", "read_your_writes")
FLOOR = "floor_acknowledged_and_one_answer"


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """The last line of a run, read as JSON."""
    return printed_by("benchmarks.freshness", TINY, longest_s=280)


def test_percentiles_ascend_and_have_a_spread(said: dict[str, Any]) -> None:
    """Of each way to ask, with the least and the greatest of the rounds."""
    for kind in (*KINDS, FLOOR):
        p50, p95, p99 = (said[f"{kind}_p{p}_ms"] for p in (50, 95, 99))
        assert 0 < p50 <= p95 <= p99
        for p in (50, 95, 99):
            key = f"{kind}_p{p}_ms"
            assert said[f"{key}_min"] <= said[key] <= said[f"{key}_max"]


def test_parts_of_the_way_come_in_order(said: dict[str, Any]) -> None:
    """A send takes time to be acknowledged, and the answer cannot know more than Redis holds."""
    assert said["part_send_to_acknowledged_p50_ms"] > 0
    # Redis is looked at every few milliseconds, so its part may seem to end after the answer.
    whole = said["send_to_reflecting_answer_p50_ms"]
    assert said["part_send_to_acknowledged_p50_ms"] <= whole
    assert said["stream_batch_of_interactions_mean_ms"] > 0
    assert said["stream_batch_of_interactions_by_place_mean_ms"] > 0
    assert said["stream_batch_mean_events"] >= 1


def test_ratios_and_outcomes_are_plausible(said: dict[str, Any]) -> None:
    """Shares lie within 0 and 1; probes came back; the load and the probes were folded."""
    for p in (50, 95, 99):
        assert said[f"reflecting_answer_to_readable_in_Redis_p{p}_ratio"] > 0
        assert said[f"reflecting_answer_to_floor_p{p}_ratio"] > 0
    assert 0 <= said["read_your_writes_seen_ratio"] <= 1
    assert 0 <= said["probes_in_vain_ratio"] < 1
    assert said["answers_degraded_ratio"] == 1  # there are no models
    assert said["models"] == "none"
    assert said["probes"] == 2 * 2 * 5
    assert said["folded_events_per_s"] > 10
    for who in ("kafka", "redis", "stream", "serve", "client", "background"):
        assert said[f"cpu_of_{who}_percent_of_a_core"] >= 0
