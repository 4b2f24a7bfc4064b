"""The detectors over what the version in service shows, and the version's own files."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from contracts.events import Impression, Location
from contracts.settings import Settings
from models.reference import FILE
from models.scoring import CARD
from retrain.drift_watch import DriftWatch, rows_of
from retrain.in_service import NoCard, load_in_service
from tests.retrain.drifting import COLUMNS, LEAST, gauge, impressions, put_in_service


def watch_of(settings: Settings) -> DriftWatch:
    return DriftWatch(settings, load_in_service(settings, 1), np.random.default_rng(0))


def test_weather_is_shown_and_asks_for_nothing(quick: Settings) -> None:
    """A hot day is no reason to train."""
    put_in_service(quick, 1)
    watch = watch_of(quick)
    watch.update(impressions(1, 600, {"temperature": 3.0}))
    watch.show()
    shown = gauge("placestream_drift_psi_ratio", feature="temperature")
    assert shown is not None
    assert shown > 0.2
    assert set(watch.asking()) == {"distance_log_km", "rating", "probability"}


def test_too_few_answers_say_nothing(quick: Settings) -> None:
    """Fewer than the least: neither a gauge nor a cause."""
    put_in_service(quick, 1)
    watch = watch_of(quick)
    watch.update(impressions(1, LEAST - 1, {"rating": 2.0}))
    assert watch.judge() is None
    assert watch.asking() == {}
    watch.update(impressions(1, 1, {"rating": 2.0}))
    psi, chance = watch.asking()["rating"]
    assert psi > max(0.2, chance)


def test_features_are_read_as_numbers_too(quick: Settings) -> None:
    """Earlier answers have them as lists; both ways tell the same rows."""
    listed = impressions(1, 1)[0]
    packed = msgspec.structs.replace(
        listed,
        places=[
            msgspec.structs.replace(place, features=place.values.astype("<f4").tobytes())
            for place in listed.places
        ],
    )
    rows, again = rows_of(packed, len(COLUMNS)), rows_of(listed, len(COLUMNS))
    assert rows is not None
    assert again is not None
    assert rows.shape == (3, len(COLUMNS) + 1)
    assert (rows == again).all()
    assert rows_of(packed, len(COLUMNS) + 1) is None


def test_answers_of_other_versions_and_of_no_ranker_are_passed_over(quick: Settings) -> None:
    """Neither a canary nor a degraded answer says what the version in service sees."""
    put_in_service(quick, 1)
    watch = watch_of(quick)
    before = gauge("placestream_drift_impressions_skipped_total", reason="other_version") or 0
    watch.update(impressions(2, 5))
    assert gauge("placestream_drift_impressions_skipped_total", reason="other_version") == (
        before + 5
    )
    bare = [
        Impression("r", "u", datetime.now(UTC), Location(0, 0), "stable", "", {"ranker": 1}, "", [])
    ]
    watch.update(bare)
    assert watch.window.size == 0


@pytest.mark.parametrize("text", ["", "{", "{}", '{"columns": ["a"], "metrics": {}}'])
def test_a_damaged_card_is_named(quick: Settings, text: str) -> None:
    """The error tells the file."""
    put_in_service(quick, 1)
    (quick.models_dir / "ranker" / "1" / CARD).write_text(text)
    with pytest.raises(NoCard, match=r"placestream\.json"):
        load_in_service(quick, 1)


def test_a_damaged_reference_is_named(quick: Settings) -> None:
    """No archive of arrays, or none at all."""
    put_in_service(quick, 1)
    path = quick.models_dir / "ranker" / "1" / FILE
    for damage in (lambda: path.write_bytes(b"PK\x03\x04 none"), path.unlink):
        damage()
        with pytest.raises(NoCard, match="1"):
            load_in_service(quick, 1)
