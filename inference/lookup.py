"""GetFeatures: what a request would see now of a user and of places. For debugging."""

import asyncio

import numpy as np
from numpy.typing import NDArray

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from inference.deadline import Budget, Clock, Part, PartFailed
from inference.errors import FEATURE_STORE_UNAVAILABLE, NotNow
from inference.ports import Store
from inference.query import FeaturesQuery
from online_features.definitions import FEATURE_SET, PLACE, USER
from online_features.feature_set import FeatureSet
from online_features.reader import UserRead


class FeatureLookup:
    """Reads features by name, windows aged to the moment."""

    def __init__(self, settings: Settings, store: Store, *, clock: Clock, monotonic: Clock) -> None:
        self._store = store
        self._clock = clock
        self._part = Part("feature store", monotonic)
        self._timeout_s = settings.redis_timeout_ms / 1_000

    async def answer(self, query: FeaturesQuery, budget: Budget) -> pb.GetFeaturesResponse:
        """All columns of the user and of each place.

        Raises:
            NotNow: the store did not answer.
        """
        now_s = self._clock()
        try:
            user, (places, known) = await self._part.call(
                lambda _: asyncio.gather(
                    self._user(query.user_id), self._store.places(query.place_ids)
                ),
                budget.share_s(1.0, self._timeout_s),
            )
        except PartFailed as failure:
            raise NotNow(FEATURE_STORE_UNAVAILABLE, str(failure)) from failure
        message = pb.GetFeaturesResponse(
            places=_entities(PLACE, query.place_ids, places, known, now_s), feature_set=FEATURE_SET
        )
        if user is not None:
            is_known = np.array([user.known])
            (told,) = _entities(USER, (query.user_id,), user.states, is_known, now_s)
            message.user.CopyFrom(told)
        message.as_of.FromNanoseconds(round(1e9 * now_s))
        return message

    async def _user(self, user_id: str) -> UserRead | None:
        return await self._store.user(user_id) if user_id else None


def _entities(
    features: FeatureSet,
    ids: tuple[str, ...],
    states: NDArray[np.void],
    known: NDArray[np.bool_],
    now_s: float,
) -> list[pb.EntityFeatures]:
    if not ids:
        return []
    values = features.read(states, now_s).tolist()
    return [
        pb.EntityFeatures(
            id=entity_id,
            known=is_known,
            features=[
                pb.FeatureValue(name=column, values=[value])
                for column, value in zip(features.columns, row, strict=True)
            ],
        )
        for entity_id, is_known, row in zip(ids, known.tolist(), values, strict=True)
    ]
