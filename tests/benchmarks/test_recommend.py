"""`python -m benchmarks.recommend` on a tiny city: what it prints, not how fast it is."""

from typing import Any

import pytest

from benchmarks.recommend import options_of, parsed
from contracts.placestream.v1 import recommendation_pb2 as pb
from tests.benchmarks.printed import printed_by

TINY = (
    "--users 60 --places 150 --days 10 --epochs 1 --rates 5,20 --seconds 1 --rounds 2 "
    "--warm-up-s 1 --among 120 --json"
)
UNITS = ("_ms", "_s", "_ratio", "_percent_of_a_core", "_answers_per_s", "_requests_per_s")
#: Facts that have no unit: counts, names and explanations.
PLAIN = {
    "users",
    "places",
    "places_around",
    "interactions",
    "broker",
    "cores",
    "sharing_the_cores",
    "places_near_median",
    "places_ranked_median",
    "redis_bytes_median",
    "model_request_bytes_median",
    "diversity",
    "explain",
    "rounds",
    "client_channels",
    "causes_of_errors_and_degradation",
}


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """The last line of a run, read as JSON."""
    return printed_by("benchmarks.recommend", TINY)


def figures(said: dict[str, Any]) -> dict[str, float]:
    """What was measured, least and greatest left out."""
    names = {key.removesuffix("_min") for key in said if key.endswith("_min")}
    return {name: said[name] for name in names}


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        ("", {}),
        ("--diversity 0.3", {"diversity": 0.3}),
        ("--diversity 0", {"diversity": 0.0}),
        ("--explain", {"explain": True}),
    ],
)
def test_the_service_is_asked_for_what_the_arguments_say(
    arguments: str, more: dict[str, Any]
) -> None:
    """Each request as it was, and what else it wants; the floor goes on with those as they were."""
    asked = [pb.RecommendRequest(user_id=user, limit=10) for user in ("a", "b")]
    wanted = options_of(parsed(arguments.split())).wanted(asked)
    assert wanted == [pb.RecommendRequest(user_id=u, limit=10, **more) for u in ("a", "b")]
    assert asked == [pb.RecommendRequest(user_id=u, limit=10) for u in ("a", "b")]


@pytest.mark.parametrize("arguments", ["--diversity 1.1", "--diversity -0.1", "--diversity much"])
def test_a_diversity_that_there_is_not_is_refused(
    arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is started for it."""
    with pytest.raises(SystemExit):
        parsed(arguments.split())
    assert "argument --diversity" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_figure_has_its_unit_and_its_spread(said: dict[str, Any]) -> None:
    """Keys end in a unit, and each median lies between the least and the greatest."""
    measured = figures(said)
    assert measured
    for name, median in measured.items():
        assert name.endswith(UNITS)
        assert said[f"{name}_min"] <= median <= said[f"{name}_max"]
    spread = {f"{name}_{end}" for name in measured for end in ("min", "max")}
    rest = said.keys() - measured.keys() - spread - PLAIN
    assert all(key.endswith(UNITS) or key.startswith("how_") for key in rest)
    assert all(key.replace("_", "").isalnum() for key in said)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_figures_are_plausible(said: dict[str, Any]) -> None:
    """Percentiles ascend, shares lie in 0 to 1, and what takes time takes some."""
    for rate in (5, 20):
        p50, p95, p99 = (said[f"latency_p{p}_at_{rate}_per_s_ms"] for p in (50, 95, 99))
        assert 0 < p50 <= p95 <= p99
        assert said[f"answered_at_{rate}_per_s_answers_per_s"] > 0
        for share in ("errors", "degraded"):
            assert 0 <= said[f"{share}_at_{rate}_per_s_ratio"] <= 1
        assert said[f"cpu_of_serve_at_{rate}_per_s_percent_of_a_core"] > 0
    for stage in ("near", "candidates", "features", "ranking", "post_processing"):
        assert said[f"stage_{stage}_p50_ms"] > 0
    for part in ("get", "candidates", "mget", "ranker"):
        assert said[f"floor_{part}_p50_ms"] > 0
    assert said["service_p50_to_floor_p50_at_5_per_s_ratio"] > 0
    assert said["highest_tested_rate_with_p99_under_50_ms_requests_per_s"] in (0, 5, 20)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_floor_reads_what_the_service_reads(said: dict[str, Any]) -> None:
    """All places in and around the tiny city are near; states of those ranked weigh something."""
    assert said["places_near_median"] == said["places"] + said["places_around"] == 150 + 120
    assert said["places_ranked_median"] == 200
    assert said["redis_bytes_median"] > 150 * 4
    # Features alone: 150 places of some fifty float32.
    assert said["model_request_bytes_median"] > 150 * 50 * 4
