"""What is known of the user, the places and the moment: read once, in one round trip each.

Third stage of the pipeline; the user is read beside the first, and their side of the features is
worked out beside the second.
"""

import asyncio
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Settings
from inference.candidates import Chosen
from inference.course import Ask
from inference.deadline import Part, PartFailed
from inference.exploration import Tries, slots_of
from inference.own_writes import OwnWrites
from inference.person import Person
from inference.ports import Store
from online_features.catalogue import Catalogue
from online_features.context import ContextState, situation
from online_features.definitions import PLACE
from online_features.pair_columns import Sides
from online_features.place_values import PlaceStates, PlaceValues
from online_features.reader import UserRead
from online_features.request import pair_features, sides_of_requests

#: Most of the remaining time that each read may take.
USER_SHARE, PLACES_SHARE = 0.25, 0.4


@dataclass(frozen=True)
class Seen:
    """What is known of the chosen places at this moment.

    Attributes:
        features: float32[n, RANKING_COLUMNS], what the ranker sees.
        tries: what came of showing them; None where the answer explores nothing.
    """

    features: NDArray[np.float32]
    tries: Tries | None


class FeatureStage:
    """Reads the feature store; where that fails, the features are those of the unknown."""

    def __init__(self, settings: Settings, catalogue: Catalogue, store: Store, part: Part) -> None:
        self._catalogue = catalogue
        self._store = store
        self._part = part
        self._timeout_s = settings.redis_timeout_ms / 1_000
        self._stale_s = settings.context_stale_s
        patience_s = settings.serve_patience_ms / 1_000
        self._own_writes = OwnWrites(store, part, self._timeout_s, patience_s)

    async def person(self, ask: Ask) -> Person:
        """The asking user as of now."""
        try:
            read = await self._user(ask)
        except PartFailed as failure:
            ask.course.stood_in(failure)
            return Person.unknown(ask.now_s)
        return Person.of(
            read.states,
            known=read.known,
            latest_s=read.latest_s,
            now_s=ask.now_s,
            catalogue=self._catalogue,
            moment=read.moment,
        )

    async def _user(self, ask: Ask) -> UserRead:
        if ask.query.written:
            return await self._own_writes.user(ask)
        return await self._part.call(
            lambda _: self._store.user(ask.query.user_id),
            ask.budget.share_s(USER_SHARE, self._timeout_s),
        )

    def side(self, ask: Ask, person: Person) -> Sides:
        """What the user brings to the features of any place."""
        query = ask.query
        return sides_of_requests(
            person.states, person.history, [ask.now_s], [query.lat], [query.lng], self._catalogue
        )

    async def look(
        self, ask: Ask, chosen: Chosen, sides: Sides, nearest: int, since: int | None
    ) -> Seen:
        """The chosen places, beside what the user brings.

        Args:
            ask: the request.
            chosen: its places.
            sides: what the user brings.
            nearest: row of the nearest place within reach, chosen or not: its weather counts where
                the request names no region.
            since: `Person.moment`: no commit before it may be missing.
        """
        region = ask.query.region or self._region_of(nearest)
        try:
            places, context = await self._scene(ask, chosen.rows, region, since)
        except PartFailed as failure:
            ask.course.stood_in(failure)
            places, context = PlaceStates.at(PLACE.empty(len(chosen.rows)), ask.now_s), None
        query = ask.query
        here = situation(query.lat, query.lng, ask.now_s, context, stale_s=self._stale_s)
        of = np.zeros(len(chosen.rows), np.int64)
        features = pair_features(sides, places, chosen.rows, here, self._catalogue, of)
        if slots_of(query) and isinstance(places, PlaceStates):
            return Seen(features, Tries.of(places.states, ask.now_s))
        return Seen(features, None)

    async def _scene(
        self, ask: Ask, rows: NDArray[np.int64], region: str, since: int | None
    ) -> tuple[PlaceValues, ContextState | None]:
        timeout_s = ask.budget.share_s(PLACES_SHARE, self._timeout_s)
        if slots_of(ask.query):
            return await self._part.call(lambda _: self._states(ask, rows, region), timeout_s)
        place_ids = self._catalogue.place_ids
        return await self._part.call(
            lambda _: self._store.scene(rows, place_ids, region, ask.now_s, since), timeout_s
        )

    async def _states(
        self, ask: Ask, rows: NDArray[np.int64], region: str
    ) -> tuple[PlaceValues, ContextState | None]:
        """What the draw needs, views and clicks apart, is in the states alone."""
        (states, _), context = await asyncio.gather(
            self._store.places(self._catalogue.place_ids(rows)), self._context(region)
        )
        return PlaceStates.at(states, ask.now_s), context

    async def _context(self, region: str) -> ContextState | None:
        return await self._store.context(region) if region else None

    def _region_of(self, row: int) -> str:
        code = int(self._catalogue.region[row])
        return self._catalogue.regions[code] if code >= 0 else ""
