"""What the card says of a pair's data and limits."""

from dataclasses import replace

import pytest

from models.card import fingerprint, limits
from models.dataset import build
from models.train import TrainedPair
from tests.models.conftest import Data
from tests.models.logs import catalogue_of, log_of

DAY_S = 86_400.0
PLACES = {"a": (40.0, -74.0), "b": (40.5, -73.0), "c": (41.0, -74.5)}


def test_limits_are_the_area_the_days_and_the_places_nobody_went_to() -> None:
    """Two of three places were only looked at, over two and a half days."""
    log = log_of([("u", "a", "visit", 0), ("u", "b", "click", 10), ("v", "a", "view", 2.5 * DAY_S)])
    found = limits(log, catalogue_of(PLACES), {"candidate_recall_at_50": 0.875}, 50)
    assert found["area"] == {"south": 40.0, "west": -74.5, "north": 41.0, "east": -73.0}
    assert (found["days"], found["places_never_visited"]) == (2.5, 2)
    said = " ".join(found["said"])
    assert "2 of 3 places have no visit" in said
    assert "88% were among the 50 places" in said


def test_places_without_a_position_do_not_blur_the_area() -> None:
    """NaN is no corner."""
    catalogue = catalogue_of(PLACES)
    catalogue.lat[1] = float("nan")
    log = log_of([("u", "a", "visit", 0)])
    assert limits(log, catalogue, {"candidate_recall_at_5": 1.0}, 5)["area"]["south"] == 40.0


def test_the_fingerprint_changes_with_any_event(data: Data, pair: TrainedPair) -> None:
    """The same data give the same; one event at another moment, or another event, others."""
    parts = build(data.log, data.catalogue, data.context, seed=1, max_events=10**9, stale_s=1e4)
    first = fingerprint(data.log, data.catalogue, parts)
    assert first == fingerprint(data.log, data.catalogue, parts)
    assert first["sha256"] == pair.card["data"]["sha256"]
    time_s, event_hash = data.log.time_s.copy(), data.log.event_hash.copy()
    time_s[5] += 0.001
    event_hash[5] += 1
    for changed in (replace(data.log, time_s=time_s), replace(data.log, event_hash=event_hash)):
        assert fingerprint(changed, data.catalogue, parts)["sha256"] != first["sha256"]
    assert first["events"] == len(data.log)
    assert first["last_s"] == pytest.approx(float(data.log.time_s.max()))
