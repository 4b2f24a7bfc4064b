"""A file of check-ins in the three shapes that an evaluation needs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.events import encode
from contracts.ids import id64
from models.quality.visits import VisitLog
from online_features.archive import EventLog
from online_features.catalogue import Catalogue
from online_features.columns import VISIT, EventColumns
from online_features.places import document_of, merge, read_update
from placestream.simulation.checkins import CheckIns


@dataclass(frozen=True)
class Material:
    """Visits, events and catalogue of the same check-ins; position i and row p mean the same.

    Attributes:
        visits: for the protocol and the baselines.
        events: for the folds, as the archive would give them.
        catalogue: row p is place p.
        users: uint64 hash of each user's id.
    """

    visits: VisitLog
    events: EventLog
    catalogue: Catalogue
    users: NDArray[np.uint64]

    @classmethod
    def of(cls, checkins: CheckIns) -> "Material":
        """Read check-ins; those dropped from `keep` never happened."""
        catalogue = Catalogue()
        for offset, update in enumerate(checkins.place_updates()):
            # The way that a worker takes an update, so that a place is what it is in service.
            place_id, time_s, said = read_update(encode(update), float(checkins.time_s[0]))
            merged = merge(None, place_id, time_s, said, offset)
            assert merged is not None  # nothing older is known
            catalogue.upsert(document_of(merged))
        visits = VisitLog(
            user=checkins.user.astype(np.int64),
            place=checkins.venue.astype(np.int64),
            time_s=checkins.time_s,
            users=len(checkins.users),
            lat=catalogue.lat.copy(),
            lng=catalogue.lng.copy(),
        )
        users = np.array([id64(user) for user in checkins.users], np.uint64)
        user_id = np.array(checkins.users, object)[checkins.user]
        place_id = np.array(catalogue.ids, object)[checkins.venue]
        events = _events(visits, users, catalogue, user_id, place_id)
        return cls(visits, events, catalogue, users)

    def take(self, keep: NDArray[np.int64]) -> "Material":
        """Only some of the check-ins; users and places keep their numbers."""
        return Material(self.visits.take(keep), self.events.take(keep), self.catalogue, self.users)


def _events(
    visits: VisitLog,
    users: NDArray[np.uint64],
    catalogue: Catalogue,
    user_id: NDArray[np.object_],
    place_id: NDArray[np.object_],
) -> EventLog:
    count = len(visits)
    columns = EventColumns.of(
        user=users[visits.user],
        place=catalogue.hash[visits.place],
        kind=np.full(count, VISIT),
        time_s=visits.time_s,
        lat=visits.lat[visits.place],
        lng=visits.lng[visits.place],
    )
    return EventLog(
        **vars(columns),
        partition=np.zeros(count, np.int32),
        offset=np.arange(count),
        user_id=user_id,
        place_id=place_id,
        request_id=np.full(count, None, object),
    )
