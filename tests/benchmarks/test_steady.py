"""`python -m benchmarks.steady` on a tiny city: what it prints, not how steady it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = "--users 60 --places 150 --days 10 --rate 10 --requests 60 --stretch-s 2 --rounds 1 --json"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_event_is_measured_beside_a_calm_stretch() -> None:
    """All of them happen to a whole installation, which then still answers."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.steady", *TINY.split()],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=580,
        check=True,
    )
    said = json.loads(done.stdout.splitlines()[-1])
    for name in ("model_swap", "redis_reconnects", "place_updates"):
        assert said[f"{name}_p99__per__calm_p99_ratio"] > 0, said
    assert said["last_p99__per__first_p99_ratio"] > 0
    assert said["errors"] < said["requests"]
