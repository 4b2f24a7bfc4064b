"""`python -m benchmarks.catalogue`: a million places in memory, and who is near.

The places of a simulated city, each many times within some 300 m, under ids and names of their
own. Beside the catalogue's look-up, in the same run, the same question to a real Redis that holds
the same points: `GEOSEARCH ... BYRADIUS ... ASC COUNT`, a server of its own process asked over
its socket.
"""

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from redis import Redis

from benchmarks.report import Figure, publish, ratio
from contracts.events import Location, PlaceDocument
from contracts.settings import Settings
from online_features.catalogue import Catalogue
from online_features.places import document_of, merge
from placestream.simulation.city import City
from placestream.simulation.plan import Plan
from placestream.stack.redis import RedisServer

CITY_PLACES = 10_000
SPREAD_DEGREES = 0.003
KEY = "places"
_WRITTEN_AT_ONCE = 5_000


def documents(city: City) -> list[PlaceDocument]:
    """The city's places as the stream publishes them."""
    merged = (
        merge(None, str(update["place_id"]), city.start_s, update["updates"], offset)
        for offset, update in enumerate(islice(city.place_updates(), city.plan.places))
    )
    return [document_of(document) for document in merged if document is not None]


def crowded(base: list[PlaceDocument], places: int, seed: int) -> Iterator[PlaceDocument]:
    """So many places, made from those of a city, with ids and names of their own."""
    rng = np.random.default_rng(seed)
    for i in range(places):
        like = base[i % len(base)]
        at = like.location or Location(0.0, 0.0)
        lat, lng = rng.normal((at.lat, at.lng), SPREAD_DEGREES).tolist()
        yield msgspec.structs.replace(
            like, place_id=f"p{i:07d}", name=f"{like.name} {i:07d}", location=Location(lat, lng)
        )


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Filled:
    """A catalogue, and what it took to fill it."""

    catalogue: Catalogue
    seconds: float
    grown_bytes: int


def fill(base: list[PlaceDocument], places: int) -> Filled:
    """A catalogue of so many places; the making of the documents is not counted."""
    catalogue, taken_s = Catalogue(), 0.0
    before = resident_bytes()
    for document in crowded(base, places, seed=1):
        began_s = time.perf_counter()
        catalogue.upsert(document)
        taken_s += time.perf_counter() - began_s
    return Filled(catalogue, taken_s, resident_bytes() - before)


def to_redis(client: Redis, catalogue: Catalogue) -> None:
    """The same points as one geo set."""
    for start in range(0, len(catalogue), _WRITTEN_AT_ONCE):
        rows = range(start, min(start + _WRITTEN_AT_ONCE, len(catalogue)))
        points: list[float | str] = []
        for row in rows:
            lng, lat = float(catalogue.lng[row]), float(catalogue.lat[row])
            points += (lng, lat, catalogue.place_id(row))
        client.geoadd(KEY, points)


def spots(catalogue: Catalogue, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Where people ask: near some place, float64[n, 2] in degrees."""
    rows = rng.integers(len(catalogue), size=n)
    at = np.stack([catalogue.lat[rows], catalogue.lng[rows]], axis=1)
    return at + rng.normal(0, SPREAD_DEGREES, at.shape)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", type=int, default=1_000_000)
    parser.add_argument("--radius-m", type=float, default=Settings(_env_file=None).radius_m)
    parser.add_argument("--limit", type=int, default=Settings(_env_file=None).near_places)
    parser.add_argument("--lookups", type=int, default=1_000, help="a round, of the catalogue")
    parser.add_argument("--geosearches", type=int, default=20, help="a round, of Redis")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    options = parser.parse_args()
    plan = Plan(users=10, places=min(CITY_PLACES, options.places), days=1)
    filled = fill(documents(City(plan, ending_s=1_700_000_000)), options.places)
    catalogue, found = filled.catalogue, list[int]()
    p50, p99, redis_p50 = compare(catalogue, options, found)
    publish(
        "The catalogue in memory",
        [p50, p99, redis_p50, ratio("near p50 / GEOSEARCH p50", p50, redis_p50)],
        {
            "places": options.places,
            "radius_m": options.radius_m,
            "limit": options.limit,
            "found_median": int(np.median(found)),
            "bytes_a_place": round(filled.grown_bytes / options.places),
            "upserts_per_s": round(options.places / filled.seconds),
        },
    )


def compare(
    catalogue: Catalogue, options: argparse.Namespace, found: list[int]
) -> tuple[Figure, Figure, Figure]:
    """Times of look-ups of both kinds, in turn; `found` gets how many places each found."""
    rng, radius_m, limit = np.random.default_rng(2), options.radius_m, options.limit
    p50, p99, redis_p50 = [], [], []
    with (
        tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder,
        RedisServer(Path(folder)) as server,
        server.client() as client,
    ):
        to_redis(client, catalogue)

        def near(lat: float, lng: float) -> None:
            found.append(len(catalogue.near(lat, lng, radius_m, limit)[0]))

        def search(lat: float, lng: float) -> None:
            client.geosearch(
                KEY, longitude=lng, latitude=lat, radius=radius_m, unit="m", sort="ASC",
                count=limit, withdist=True,
            )  # fmt: skip

        for _ in range(options.rounds):
            ours = taken_ms(near, spots(catalogue, options.lookups, rng))
            theirs = taken_ms(search, spots(catalogue, options.geosearches, rng))
            p50.append(float(np.percentile(ours, 50)))
            p99.append(float(np.percentile(ours, 99)))
            redis_p50.append(float(np.percentile(theirs, 50)))
    return (
        Figure("near p50", "ms", tuple(p50)),
        Figure("near p99", "ms", tuple(p99)),
        Figure("GEOSEARCH p50", "ms", tuple(redis_p50)),
    )


def taken_ms(look: Callable[[float, float], None], at: NDArray[np.float64]) -> list[float]:
    """Wall time of each look-up."""
    taken = []
    for lat, lng in at.tolist():
        began_s = time.perf_counter()
        look(lat, lng)
        taken.append(1e3 * (time.perf_counter() - began_s))
    return taken


if __name__ == "__main__":
    main()
