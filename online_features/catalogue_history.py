"""The catalogue as all updates of places made it, which also knows what they said when."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from online_features.catalogue import STATED, Catalogue
from online_features.changes import ChangeRecorder, Changes
from online_features.places import document_of, merge, read_update
from online_features.rings import DAY_S

#: offset, received_s (Unix seconds), key, the event's bytes or `None` for a tombstone.
ArchivedUpdate = tuple[int, float, str, bytes | None]


def catalogue_of(updates: Iterable[ArchivedUpdate]) -> Catalogue:
    """Play updates, in the order in which a worker took them.

    Places that a tombstone closed are in it, closed, as they were before.

    Raises:
        BadEvent: one is no update of a place.
    """
    documents: dict[str, bytes] = {}
    closed: set[str] = set()
    recorder = ChangeRecorder(STATED | {"closed": 1.0})
    for offset, received_s, key, raw in updates:
        if raw is None:
            closed.add(key)
            recorder.forget(key, received_s)
            continue
        place_id, time_s, said = read_update(raw, received_s)
        known = None if place_id in closed else documents.get(place_id)
        merged = merge(known, place_id, time_s, said, offset)
        if merged is not None:
            documents[place_id] = merged
            closed.discard(place_id)
            recorder.write(place_id, time_s, said | {"closed": 0.0})
    catalogue = Catalogue()
    for place_id, document in documents.items():
        catalogue.upsert(document_of(document))
        if place_id in closed:
            catalogue.close(place_id)
    changes = recorder.changes(catalogue.rows_of)
    catalogue.changes = changes | _openings(changes.pop("closed", None))
    return catalogue


def _openings(changes: Changes | None) -> dict[str, Changes]:
    """When places were not there, if some ever were not.

    Those that were stated within a day of the very first have been there always: so a catalogue
    is brought in, and nobody says since when.
    """
    if changes is None or not len(changes):
        return {}
    first = np.r_[True, changes.row[1:] != changes.row[:-1]]
    always = first & (changes.since_s <= changes.since_s.min() + DAY_S)
    if always.all():
        return {}
    return {"closed": replace(changes, since_s=np.where(always, -np.inf, changes.since_s))}
