"""The catalogue as all updates of places made it, which also knows what they said when."""

from collections.abc import Iterable

from online_features.catalogue import STATED, Catalogue
from online_features.changes import ChangeRecorder
from online_features.places import document_of, merge, read_update

#: offset, received_s (Unix seconds), key, the event's bytes or `None` for a tombstone.
ArchivedUpdate = tuple[int, float, str, bytes | None]


def catalogue_of(updates: Iterable[ArchivedUpdate]) -> Catalogue:
    """Play updates, in the order in which a worker took them.

    Raises:
        BadEvent: one is no update of a place.
    """
    documents: dict[str, bytes | None] = {}
    recorder = ChangeRecorder(STATED)
    for offset, received_s, key, raw in updates:
        if raw is None:
            documents[key] = None
            recorder.forget(key, received_s)
            continue
        place_id, time_s, said = read_update(raw, received_s)
        merged = merge(documents.get(place_id), place_id, time_s, said, offset)
        if merged is not None:
            documents[place_id] = merged
            recorder.write(place_id, time_s, said)
    catalogue = Catalogue()
    for document in documents.values():
        if document is not None:
            catalogue.upsert(document_of(document))
    catalogue.changes = recorder.changes(catalogue.rows_of)
    return catalogue
