"""Experiments as the page has them, from the controller's own records."""

from typing import Any

import pytest
import redis

from contracts.settings import Settings
from placestream.console.experiments import SHOWN, read, shown
from retrain.experiments import Experiment, Experiments
from retrain.keys import ControllerKeys
from retrain.lease import Lease

AT_S = 1_700_000_000.0


def test_the_newest_come_first(settings: Settings, redis_client: redis.Redis) -> None:
    """As many as are shown, from the records in Redis; none is an empty list."""
    assert read(settings, redis_client) == []
    lease = Lease(redis_client, ControllerKeys(settings.key_prefix))
    records = Experiments(redis_client, settings.key_prefix, lease)
    for version in range(1, SHOWN + 3):
        records.begin(f"audit-{version}", version, AT_S + version, 0.1, {})
    found = read(settings, redis_client)
    assert [one.versions for one in found] == [(None, SHOWN + 2 - i) for i in range(SHOWN)]
    assert {(one.state, one.over, one.users) for one in found} == {("waiting", False, None)}


@pytest.mark.parametrize(
    ("good", "low", "high", "state"),
    [
        ("more", -0.01, 0.03, "as good"),  # a loss of 2 % is borne, and excluded
        ("more", -0.03, 0.03, "open"),  # it is not excluded
        ("more", -0.09, -0.01, "worse"),  # any value in the interval is a loss
        ("less", -0.01, 0.01, "as good"),  # a rise of 2 % is borne, and excluded
        ("less", 0.01, 0.03, "open"),
        ("less", 0.03, 0.05, "worse"),  # beyond what is borne
        ("less", None, 0.05, "open"),  # unknown
    ],
)
def test_a_measure_is_decided_as_the_controller_does(
    good: str, low: float | None, high: float | None, state: str
) -> None:
    """Harm is proven, or excluded, or neither."""
    row: dict[str, Any] = {
        "scale": "relative",
        "good": good,
        "stable": 0.2,
        "canary": 0.21,
        "effect": 0.05,
        "low": low,
        "high": high,
        "margin": 0.02,
    }
    report = {"users": {"stable": 90, "canary": 10}, "metrics": {"success": row}}
    one = shown(Experiment("pair-2", "a", 2, AT_S, AT_S, "canary", baseline=1, report=report))
    (measure,) = one.measures
    assert (measure.state, measure.low, measure.high) == (state, low, high)
    assert measure.borne == (-0.02 if good == "more" else 0.02)
    assert measure.name == "answers with a click or visit"
    assert (one.versions, one.users) == ((1, 2), (90, 10))
