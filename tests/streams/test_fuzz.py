"""Whatever bytes lie on a topic: a good event that every later step can use, or a `BadEvent`.

Each example of hypothesis is one event made of its schema, and `MUTANTS` inputs are made of its
bytes. What is found good goes on as in the worker: into columns, folds and the archive's tables,
into whole places and the catalogue, into what the ranker sees.
"""

import gc
import random
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from contracts.events import BadEvent, ContextUpdate, Impression, Interaction, PlaceUpdate
from contracts.settings import Settings
from online_features.catalogue import Catalogue
from online_features.context import ContextState, situation
from online_features.definitions import PLACE, USER
from online_features.places import document_of
from online_features.request import ranking_features
from streams.decode import decode_interactions
from streams.impressions import decode_impressions
from streams.metadata import ContextUpdates, PlaceUpdates
from tests.fuzzing.events import TOKENS, events
from tests.fuzzing.mutations import mutants
from tests.inference.fakes import LAT, LNG, NOON_S
from tests.streams.stream import Sent

MUTANTS = 100
#: Examples in `make test`, and of the long run: 200,000 inputs for each of the four schemas.
FEW, MANY = 12, 2_000
#: A leak of 200 bytes an input would be twice as much over the last three turns.
GROWTH_BYTES = 200 * MANY // 4 * 3 * MUTANTS // 2
AT = "2024-05-15T11:30:00Z"
WORDS = (
    *("u", "p0", "visit", "18-24", "mon", "holiday", "09:00-17:00", "22:00-02:00", "2026-12-24"),
    *("US", "US-NY", "America/New_York", "sunny", "uptown", "Dining > Restaurant"),
    *(AT, "2024-05-15T23:59:59.999999+14:00", "2000-01-01T00:00:00Z"),
)
#: Names that are right nearly, or mean something to a library below, and what no text should be.
ODD = (
    *("", "0", "MAR", "PUBLIC", "country_holidays", "HolidayBase", "US-", "../UTC", "America"),
    *("\ud800", "\0", "24:00-24:00", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59"),
    *("9999-12-31T23:59:59-23:59", "2024-02-30T00:00:00Z", "2024-05-15T11:30:00"),
    *("1969-12-31", "0001-01-01", "9999-12-31"),
)
PARTITIONS = 1
SETTINGS = Settings(_env_file=None, partitions=PARTITIONS)
_NOTHING: Any = None


def records(values: Sequence[bytes], key: bytes = b"u") -> Any:
    """Values as records of one partition, received at noon."""
    return [Sent(0, i, int(NOON_S * 1_000), key, value) for i, value in enumerate(values)]


def interactions(values: Sequence[bytes]) -> int:
    """Decode, fold for both sides, pack, read back: all of it finite."""
    batch = decode_interactions(records(values), PARTITIONS)
    assert len(batch) + len(batch.bad) == len(values)
    assert batch.table().num_rows == len(batch)
    log = batch.folded()
    for features in (USER, PLACE):
        states = features.empty(1)
        features.fold(states, np.zeros(len(log), np.int64), log)
        (packed,) = features.pack(states)
        assert np.isfinite(features.read(features.unpack([packed])[0], NOON_S)).all()
    return len(batch)


def impressions(values: Sequence[bytes]) -> int:
    """Decode and lay out for the archive."""
    served = decode_impressions(records(values))
    assert len(served.events) + len(served.bad) == len(values)
    assert served.table().num_rows == len(served.events)
    return len(served.events)


def places(values: Sequence[bytes]) -> int:
    """Merge into one place, put it into a catalogue, look at it as a request does."""
    sink, catalogue, good = PlaceUpdates(SETTINGS, *[_NOTHING] * 4), Catalogue(), 0
    whole: bytes | None = None
    for record in records(values, b"p0"):
        try:
            time_s, said = sink.read(record, "p0")
            whole = sink.change(whole, "p0", time_s, said, record.offset)
        except BadEvent:
            continue
        if whole is not None:
            catalogue.upsert(document_of(whole))
            look(catalogue, None)
            good += 1
    return good


def context(values: Sequence[bytes]) -> int:
    """Keep the newest, and look at a place in such weather."""
    sink, catalogue, good = ContextUpdates(SETTINGS, *[_NOTHING] * 4), Catalogue(), 0
    catalogue.upsert(document_of(b'{"place_id": "p0", "location": {"lat": 40, "lng": -70}}'))
    kept: bytes | None = None
    for record in records(values, b"uptown"):
        try:
            time_s, said = sink.read(record, "uptown")
            kept = sink.change(kept, "uptown", time_s, said, record.offset)
        except BadEvent:
            continue
        assert kept is not None
        look(catalogue, msgspec.json.decode(kept, type=ContextState))
        good += 1
    return good


def look(catalogue: Catalogue, outside: ContextState | None) -> None:
    """What the ranker sees of the one place is finite."""
    rows = np.arange(len(catalogue))
    here = situation(LAT, LNG, NOON_S, outside, stale_s=1e9)
    catalogue.open_state(rows, NOON_S)
    seen = ranking_features(USER.empty(1), PLACE.empty(len(rows)), rows, here, catalogue)
    assert np.isfinite(seen).all()


WHERE = {"lat": LAT, "lng": LNG}
VISIT = {
    "user_id": "u",
    "place_id": 7,
    "event_type": "visit",
    "timestamp": AT,
    "context": {"location": WHERE},
}
UPDATE = {
    "place_id": "p0",
    "updates": {
        "location": WHERE,
        "business_hours": {"mon": ["09:00-12:00", "13:00-02:00"], "holiday": []},
        "special_hours": {"2024-05-15": ["09:00-13:00"]},
        "holiday_calendar": "US-NY",
        "time_zone": "America/New_York",
    },
}
OUTSIDE = {
    "timestamp": AT,
    "weather": {"temp": 22, "condition": "sunny"},
    "traffic": {"congestion_level": 0.6},
}
SERVED = {
    "request_id": "r",
    "user_id": "u",
    "timestamp": AT,
    "location": WHERE,
    "variant": "stable",
    "degradation": "none",
    "models": {"ranker": 3},
    "feature_set": "f1",
    "places": [{"place_id": "p0", "position": 0, "score": 1.5, "features": "AAAAAAAAAAA="}],
}
CASES = [
    pytest.param(Interaction, VISIT, interactions, id="interactions"),
    pytest.param(PlaceUpdate, UPDATE, places, id="places"),
    pytest.param(ContextUpdate, OUTSIDE, context, id="context"),
    pytest.param(Impression, SERVED, impressions, id="impressions"),
]
Use = Callable[[Sequence[bytes]], int]


def fuzz(schema: type, good: dict[str, Any], use: Use, examples: int) -> None:
    """Run so many examples; if many, some must be good, or only the decoder was tried.

    Then look for memory that stays.
    """
    assert use([msgspec.json.encode(good)]) == 1
    used, drawn, held = list[int](), list[bytes](), list[int]()
    with capture_logs() as logs, warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # of numpy, where a number does not fit

        def give(event: bytes, seed: int) -> None:
            used.append(use(list(mutants(event, random.Random(seed), MUTANTS, TOKENS))))

        @settings(max_examples=examples)
        @given(events(schema, good, WORDS, ODD), st.integers(0, 2**64))
        def run(event: bytes, seed: int) -> None:
            drawn.append(event)
            give(event, seed)

        run()
        # Apart from hypothesis, which keeps what it has drawn.
        for turn in range(4 if examples == MANY else 0):
            for i, event in enumerate(drawn[: MANY // 4]):
                give(event, MANY * turn + i)
            gc.collect()
            held.append(psutil.Process().memory_info().rss)
    assert logs == []
    if examples == MANY:
        assert sum(used) > 0
        assert held[-1] - held[0] < GROWTH_BYTES, held


@pytest.mark.parametrize(("schema", "good", "use"), CASES)
def test_no_bytes_break_an_event(schema: type, good: dict[str, Any], use: Use) -> None:
    """Some hundred inputs of each kind: good and usable to the end, or bad and said so."""
    fuzz(schema, good, use, FEW)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(("schema", "good", "use"), CASES)
def test_no_bytes_break_an_event_in_the_long_run(
    schema: type, good: dict[str, Any], use: Use
) -> None:
    """The same with 250 times as many, and the memory stays where it was."""
    fuzz(schema, good, use, MANY)
