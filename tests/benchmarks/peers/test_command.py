"""`python -m benchmarks.peers` at tiny size: each peer that can be installed, end to end."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Environments are made the first time: some hundred megabytes to fetch.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2_400)]

ROOT = Path(__file__).parents[3]
TINY = "--events 6000 --users 300 --places 20 --rounds 2 --reads 2 --json"


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """The last line of a run, read as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", *TINY.split()],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize(
    ("package", "keys"),
    [
        ("quixstreams", ["placestream__per__Quix_Streams_on_visits_ratio"]),
        ("bytewax", ["placestream__per__Bytewax_on_every_event_ratio"]),
        ("feast", ["Feast_by_column_p50__per__placestream_ratio"]),
    ],
)
def test_a_peer_is_measured_or_said_to_be_missing(
    said: dict[str, Any], package: str, keys: list[str]
) -> None:
    """Its counts and rows were right, or the command would have failed."""
    if "not installable" in said[package]:
        assert not any(key in said for key in keys)
        pytest.skip(said[package])
    for key in keys:
        assert 0 < said[f"{key}_min"] <= said[key] <= said[f"{key}_max"]


def test_placestream_is_measured_in_any_case(said: dict[str, Any]) -> None:
    """In both groups."""
    assert said["placestream_events_per_s"] > 0
    assert 0 < said["placestream_p50_ms"] <= said["placestream_p99_ms"]
