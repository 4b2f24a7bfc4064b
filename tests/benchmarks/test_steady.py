"""`python -m benchmarks.steady` on a tiny city: what it prints, not how steady it is."""

import pytest

from tests.benchmarks.printed import printed_by

TINY = "--users 60 --places 150 --days 10 --rate 10 --requests 60 --stretch-s 2 --rounds 1 --json"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_event_is_measured_beside_a_calm_stretch() -> None:
    """All of them happen to a whole installation, which then still answers."""
    said = printed_by("benchmarks.steady", TINY)
    for name in ("model_swap", "redis_reconnects", "place_updates"):
        assert said[f"{name}_p99__per__calm_p99_ratio"] > 0, said
    assert said["aged_p99__per__fresh_p99_ratio"] > 0
    assert said["errors"] < said["requests"]
