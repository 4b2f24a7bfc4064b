"""Places around those of a simulated city: as dense as a real one, or as many as a huge one.

They are in the catalogue alone: nobody was there, and the models never saw them.
"""

import csv
import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Self, TypeAlias

import msgspec
import numpy as np
from confluent_kafka import Producer
from numpy.typing import NDArray

from benchmarks.catalogue import crowded, documents
from contracts.events import Location, PlaceDocument, encode
from contracts.kafka import producer_config
from contracts.settings import Settings
from placestream.simulation.city import City

#: How many places there are, or a CSV file (perhaps .gz) with columns venue_id, lat, lng.
What: TypeAlias = int | Path
_AT_ONCE = 10_000
_WAIT_S = 300


def what(text: str) -> What:
    """An argument of the command line."""
    return int(text) if text.isdigit() else Path(text)


def centre(of: What) -> tuple[float, float] | None:
    """Where a city must lie to be among them, degrees; None: anywhere."""
    if isinstance(of, int):
        return None
    _, lat, lng = _read(of)
    return float(np.median(lat)), float(np.median(lng))


@dataclass(frozen=True)
class Surroundings:
    """Places without a history.

    Attributes:
        lat, lng: float64[n] degrees.
    """

    lat: NDArray[np.float64]
    lng: NDArray[np.float64]
    _places: Sequence[PlaceDocument]

    @classmethod
    def of(cls, of: What, city: City, seed: int) -> Self:
        """So many, like places of the city and near them; or those of a file, of the city's kinds.

        Raises:
            OSError, KeyError, ValueError: the file cannot be read, or is not such a file.
        """
        like = documents(city)
        if isinstance(of, int):
            places = list(crowded(like, of, seed))
        else:
            places = [
                msgspec.structs.replace(kind, place_id=place_id, name=None, location=Location(*at))
                for kind, place_id, *at in zip(cycle(like), *_read(of), strict=False)
            ]
        at = [place.location or Location(np.nan, np.nan) for place in places]
        lat, lng = (np.array([getattr(one, axis) for one in at]) for axis in ("lat", "lng"))
        return cls(lat, lng, places)

    def __len__(self) -> int:
        return len(self._places)

    def publish(self, settings: Settings) -> None:
        """Write them to the topic of whole places, from which services take their catalogue.

        Raises:
            TimeoutError: Kafka does not take them.
        """
        producer = Producer(producer_config(settings))
        for some in _batches(self._places):
            for place in some:
                producer.produce(settings.topics.places.name, encode(place), place.place_id)
            if producer.flush(_WAIT_S):
                raise TimeoutError(f"Kafka did not take {len(some)} places in {_WAIT_S} s")


def _batches(places: Iterable[PlaceDocument]) -> Iterator[list[PlaceDocument]]:
    left = iter(places)
    while some := list(islice(left, _AT_ONCE)):
        yield some


def _read(file: Path) -> tuple[list[str], list[float], list[float]]:
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", newline="") as lines:
        rows = list(csv.DictReader(lines))
    lat, lng = ([float(row[axis]) for row in rows] for axis in ("lat", "lng"))
    return [row["venue_id"] for row in rows], lat, lng
