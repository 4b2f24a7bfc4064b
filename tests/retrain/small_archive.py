"""A small archive in which there is something to learn: people go to a few places near home."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.events import EVENT_TYPES
from contracts.ids import id64
from online_features.archive import read_interactions
from online_features.archive_schema import IMPRESSIONS, INTERACTIONS, PLACE_UPDATES, SCHEMAS

PLACES, USERS, DAYS, A_DAY = 80, 40, 20, 3
START_S = 1_700_000_000.0
LAT, LNG = 40.7, -74.0
CATEGORIES = ("cafe", "bar", "park", "museum")


def write_archive(archive_dir: Path, seed: int = 1) -> int:
    """Write places and visits; return how many visits there are."""
    rng = np.random.default_rng(seed)
    lat, lng = LAT + rng.normal(0, 0.02, PLACES), LNG + rng.normal(0, 0.02, PLACES)
    _write(archive_dir, PLACE_UPDATES, [_place(i, lat[i], lng[i]) for i in range(PLACES)])
    visits = _visits(rng, lat, lng)
    _write(archive_dir, INTERACTIONS, visits)
    return len(visits)


def write_answers(archive_dir: Path, every: int = 4) -> int:
    """Write an answer ten minutes before every so many visits, the place among five that it showed,
    with no features; return how many.
    """
    rng, log = np.random.default_rng(2), read_interactions(archive_dir)
    rows = []
    for offset, at in enumerate(range(0, len(log), every)):
        others = [f"p{i}" for i in rng.permutation(PLACES) if f"p{i}" != log.place_id[at]]
        rows.append(_answer(offset, log.user_id[at], [log.place_id[at], *others[:4]]))
        rows[-1] |= {"time_s": float(log.time_s[at]) - 600, "received_s": float(log.time_s[at])}
    _write(archive_dir, IMPRESSIONS, rows)
    return len(rows)


def _answer(offset: int, user_id: str, places: list[str]) -> dict[str, Any]:
    n = len(places)
    return {
        "partition": 0,
        "offset": offset,
        "request_id": f"r{offset}",
        "user_id": user_id,
        "lat": LAT,
        "lng": LNG,
        "variant": "stable",
        "degradation": "none",
        "models": [("ranker", 1)],
        "feature_set": "older",
        "place_ids": places,
        "positions": list(range(n)),
        "scores": [0.0] * n,
        "probabilities": [0.1] * n,
        "propensities": [1.0] * n,
        "features": [[]] * n,
    }


def _visits(rng: np.random.Generator, lat: np.ndarray, lng: np.ndarray) -> list[dict[str, Any]]:
    rows = []
    for user in range(USERS):
        home = int(rng.integers(PLACES))
        away = np.hypot(lat - lat[home], lng - lng[home])
        favourites = np.argsort(away)[:6]
        times = np.sort(START_S + rng.uniform(0, DAYS * 86_400, DAYS * A_DAY))
        for time_s in times:
            place = int(rng.choice(favourites))
            rows.append(_visit(user, place, float(time_s), lat[home], lng[home]))
    rows.sort(key=lambda row: row["time_s"])
    for offset, row in enumerate(rows):
        row |= {"offset": offset, "event_hash": offset + 1}
    return rows


def _visit(user: int, place: int, time_s: float, lat: float, lng: float) -> dict[str, Any]:
    user_id, place_id = f"u{user}", f"p{place}"
    return {
        "partition": 0,
        "received_s": time_s,
        "time_s": time_s,
        "user_id": user_id,
        "place_id": place_id,
        "user": id64(user_id),
        "place": id64(place_id),
        "kind": EVENT_TYPES.index("visit"),
        "rating": float("nan"),
        "age_group": -1,
        "lat": lat,
        "lng": lng,
        "dwell_s": float("nan"),
        "request_id": None,
        "raw": b"{}",
    }


def _place(number: int, lat: float, lng: float) -> dict[str, Any]:
    update = {
        "place_id": f"p{number}",
        "updates": {
            "name": f"Place {number}",
            "category": CATEGORIES[number % len(CATEGORIES)],
            "location": {"lat": float(lat), "lng": float(lng)},
        },
    }
    return {
        "partition": 0,
        "offset": number,
        "received_s": START_S,
        "time_s": START_S,
        "key": f"p{number}",
        "raw": msgspec.json.encode(update),
    }


def _write(archive_dir: Path, stream: str, rows: list[dict[str, Any]]) -> None:
    day = datetime.fromtimestamp(START_S, UTC).strftime("%Y-%m-%d")
    folder = archive_dir / stream / f"day={day}"
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMAS[stream]), folder / "all.parquet")
