"""The catalogue and the weather as they were known at past moments: by receipt, not as of now."""

from bisect import bisect_right
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.events import BadEvent, ContextUpdate, decode
from online_features.archive import read_updates
from online_features.archive_schema import CONTEXT, PLACE_UPDATES
from online_features.catalogue import Catalogue
from online_features.context import ContextState
from online_features.places import document_of, merge, read_update

_CONTEXT = msgspec.json.Decoder(ContextUpdate)


class CataloguePast:
    """A catalogue that is played forward through the archived updates of places.

    Attributes:
        catalogue: with the first updates applied, as many as were asked for.
        received_s: float64[n], when Kafka received each update; ascending.
    """

    def __init__(self, archive_dir: Path) -> None:
        self.catalogue = Catalogue()
        rows = sorted(read_updates(archive_dir, PLACE_UPDATES), key=lambda row: row[2])
        self.received_s: NDArray[np.float64] = np.array([row[2] for row in rows], np.float64)
        self._rows = rows
        self._documents: dict[str, bytes | None] = {}
        self._applied = 0

    def play(self, updates: int) -> Catalogue:
        """Apply updates until so many are; they cannot be taken back."""
        for _, offset, received_s, key, raw in self._rows[self._applied : updates]:
            if raw is None:
                self._documents[key] = None
                self.catalogue.close(key)
                continue
            place_id, time_s, said = read_update(raw, received_s)
            merged = merge(self._documents.get(place_id), place_id, time_s, said, offset)
            if merged is not None:
                self._documents[place_id] = merged
                self.catalogue.upsert(document_of(merged))
        self._applied = max(self._applied, updates)
        return self.catalogue


class ContextPast:
    """What was the newest known weather and traffic of a region, at any past moment."""

    def __init__(self, archive_dir: Path) -> None:
        self._past: dict[str, tuple[list[float], list[ContextState]]] = {}
        for _, _, received_s, region, raw in sorted(
            read_updates(archive_dir, CONTEXT), key=lambda row: row[2]
        ):
            try:
                state = ContextState.of(decode(_CONTEXT, raw))
            except BadEvent:
                continue  # a tombstone, or of a schema that is gone
            received, states = self._past.setdefault(region, ([], []))
            # As the stream decides: a measurement that is older than the known one changes nothing.
            newest = states[-1] if states and states[-1].timestamp_s > state.timestamp_s else state
            received.append(received_s)
            states.append(newest)

    def at(self, region: str | None, received_by_s: float) -> ContextState | None:
        """The context of a region by what Kafka had received at a moment."""
        received, states = self._past.get(region or "", ([], []))
        found = bisect_right(received, received_by_s)
        return states[found - 1] if found else None
