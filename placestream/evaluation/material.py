"""What happened in a city, in the shapes that an evaluation needs."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from contracts.events import encode
from contracts.ids import id64
from models.quality.visits import VisitLog
from online_features import catalogue_history
from online_features.catalogue import Catalogue
from online_features.columns import VISIT, EventColumns
from online_features.context import ContextLog
from online_features.training_log import TrainingLog
from placestream.simulation.checkins import CheckIns
from placestream.simulation.source import Event


@dataclass(frozen=True)
class Known:
    """What the service would know of a city.

    Attributes:
        events: for the folds, as the archive would give them.
        catalogue: all places.
        context: the past of weather and traffic.
        region: key of the context.
    """

    events: TrainingLog
    catalogue: Catalogue
    context: ContextLog = field(default_factory=lambda: ContextLog([]))
    region: str | None = None


@dataclass(frozen=True)
class Material(Known):
    """Check-ins; position i of visits and events is the same, row p of the catalogue is place p.

    Attributes:
        visits: for the protocol and the baselines.
        users: uint64 hash of each user's id.
    """

    visits: VisitLog = field(kw_only=True)
    users: NDArray[np.uint64] = field(kw_only=True)

    @classmethod
    def of(cls, checkins: CheckIns) -> "Material":
        """Read check-ins."""
        catalogue = catalogue_of(checkins.place_updates())
        visits = VisitLog(
            user=checkins.user.astype(np.int64),
            place=checkins.venue.astype(np.int64),
            time_s=checkins.time_s,
            users=len(checkins.users),
            lat=catalogue.lat.copy(),
            lng=catalogue.lng.copy(),
        )
        users = np.array([id64(user) for user in checkins.users], np.uint64)
        events = _events(visits, users, catalogue)
        return cls(events, catalogue, visits=visits, users=users)

    def take(self, keep: NDArray[np.int64]) -> "Material":
        """Only some of the check-ins; users and places keep their numbers."""
        return replace(self, visits=self.visits.take(keep), events=self.events.take(keep))

    def with_strangers(self, users: NDArray[np.int64]) -> "Material":
        """The same visits by users of whom no model has heard: they get other ids."""
        hashes = self.users.copy()
        hashes[users] = [id64(f"stranger {user}") for user in users.tolist()]
        return replace(self, users=hashes, events=_events(self.visits, hashes, self.catalogue))

    def with_visits(self, visits: VisitLog) -> "Material":
        """The same city, had it been visited otherwise."""
        return replace(self, visits=visits, events=_events(visits, self.users, self.catalogue))


def catalogue_of(updates: Iterable[Event]) -> Catalogue:
    """A catalogue from updates, on the way that a worker takes them."""
    return catalogue_history.catalogue_of(
        (offset, datetime.fromisoformat(update["timestamp"]).timestamp(), "", encode(update))
        for offset, update in enumerate(updates)
    )


def _events(visits: VisitLog, users: NDArray[np.uint64], catalogue: Catalogue) -> TrainingLog:
    columns = EventColumns.of(
        user=users[visits.user],
        place=catalogue.hash[visits.place],
        kind=np.full(len(visits), VISIT),
        time_s=visits.time_s,
        lat=visits.lat[visits.place],
        lng=visits.lng[visits.place],
    )
    return TrainingLog.of_columns(columns)
