"""Parts that tests hand to the pipeline: the catalogue and all features are the real ones."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.events import Location, PlaceDocument
from contracts.ids import id64
from contracts.signatures import PARTS, VECTORS
from inference.model_client import Prediction
from online_features.catalogue import Catalogue
from online_features.columns import VIEW, VISIT, EventColumns
from online_features.context import ContextState
from online_features.definitions import PLACE, USER
from online_features.place_values import PlaceStates
from online_features.reader import UserRead

#: Wednesday 2024-05-15, 12:00 UTC.
NOON_S = 1_715_774_400.0
LAT, LNG = 40.75, -73.98
#: One degree of latitude on the sphere of `online_features.geo`.
METRES_A_DEGREE = 6_371_008.8 * np.pi / 180
KINDS = {"view": VIEW, "visit": VISIT}


def place(place_id: str, metres_north: float = 100.0, **fields: Any) -> PlaceDocument:
    """A place so many metres north of where tests stand."""
    lat = LAT + metres_north / METRES_A_DEGREE
    return PlaceDocument(place_id=place_id, location=Location(lat, LNG), **fields)


def catalogue_of(*places: PlaceDocument) -> Catalogue:
    """A catalogue of some places."""
    catalogue = Catalogue()
    for document in places:
        catalogue.upsert(document)
    return catalogue


def events(*happened: tuple[str, str, str, float]) -> EventColumns:
    """Interactions from (user, place, kind, seconds before `NOON_S`)."""
    users, places, kinds, ago_s = zip(*happened, strict=True)
    return EventColumns.of(
        user=[id64(u) for u in users],
        place=[id64(p) for p in places],
        kind=[KINDS[k] for k in kinds],
        time_s=[NOON_S - s for s in ago_s],
    )


@dataclass
class FakeStore:
    """A store whose states are folded from events by the real definitions.

    Attributes:
        happened: what to fold.
        context: what every region is like.
        delay_s: how long each read takes.
        error: what each read raises.
        folded: how far the stream has come, by moment (seconds of the loop): next offset.
    """

    happened: EventColumns | None = None
    weather: ContextState | None = None
    delay_s: float = 0.0
    error: Exception | None = None
    folded: Callable[[float], int] = lambda _: 0
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def user(self, user_id: str) -> UserRead:
        await self._trouble("user", user_id)
        states, known = self._fold("user", [user_id])
        latest = float(states["since_activity_s"]["latest_s"][0])
        return UserRead(states, bool(known[0]), latest if known[0] else None)

    async def user_after(
        self, user_id: str, partitions: Sequence[int]
    ) -> tuple[UserRead, tuple[int, ...]]:
        now_s = asyncio.get_running_loop().time()
        return await self.user(user_id), tuple(self.folded(now_s) for _ in partitions)

    async def places(self, place_ids: Sequence[str]) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
        await self._trouble("places", *place_ids)
        return self._fold("place", place_ids)

    async def scene(
        self,
        rows: NDArray[np.int64],
        place_ids: Callable[[NDArray[np.int64]], list[str]],
        region: str,
        now_s: float,
        since: int | None = None,
    ) -> tuple[PlaceStates, ContextState | None]:
        states, _ = await self.places(place_ids(rows))
        return PlaceStates.at(states, now_s), await self.context(region) if region else None

    async def context(self, region: str) -> ContextState | None:
        await self._trouble("context", region)
        return self.weather

    async def _trouble(self, *asked: str) -> None:
        self.asked.append(asked)
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error

    def _fold(self, entity: str, ids: Sequence[str]) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
        features = USER if entity == "user" else PLACE
        states, known = features.empty(len(ids)), np.zeros(len(ids), bool)
        for i, entity_id in enumerate(ids):
            if self.happened is None:
                continue
            its = self.happened.take(getattr(self.happened, entity) == id64(entity_id))
            features.fold(states[i : i + 1], np.zeros(len(its), np.int64), its)
            known[i] = len(its) > 0
        return states, known


@dataclass
class FakeModels:
    """Models that score by a rule of the test.

    Attributes:
        scores: by model and signed place hash; others get `default`.
        errors: what a model raises, by name.
        delay_s: how long a model takes, by name.
        version: that answers.
        vectors: by place id, what the candidate model says of places; None: it has no such
            signature, 0 for others.
        rule: how the ranker scores features and parts, if it looks at them at all.
        asked: inputs of every call, by model.
    """

    scores: dict[str, dict[int, float]] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)
    delay_s: dict[str, float] = field(default_factory=dict)
    default: float = 0.0
    version: int = 7
    vectors: dict[str, Sequence[float]] | None = None
    rule: Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]] | None = None
    asked: list[tuple[str, dict[str, NDArray[Any]], float]] = field(default_factory=list)

    def prefer(self, model: str, *place_ids: str) -> None:
        """Let a model put these places first, in this order."""
        for i, place_id in enumerate(place_ids):
            key = int(np.uint64(id64(place_id)).astype(np.int64))
            self.scores.setdefault(model, {})[key] = float(len(place_ids) - i)

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, tuple[int, ...]],
        timeout_s: float,
        signature: str = "",
    ) -> Prediction:
        asked = signature or model
        self.asked.append((asked, dict(inputs), timeout_s))
        await asyncio.sleep(self.delay_s.get(asked, 0.0))
        if asked in self.errors:
            raise self.errors[asked]
        if signature:
            assert (signature, self.vectors is None) == (VECTORS, False)
            return Prediction({VECTORS: self._vectors(inputs["place_ids"])}, self.version)
        ids = inputs["place_ids"][0] if model == "candidates" else inputs["place_id"]
        known = self.scores.get(model, {})
        scores = np.array([known.get(i, self.default) for i in ids.tolist()], np.float32)
        if model == "ranker" and self.rule is not None:
            scores = self.rule(inputs["features"], inputs["parts"]).astype(np.float32)
        # It tells of every place which one it is, so that a test can follow it to the ranker.
        told = np.repeat(np.arange(len(ids), dtype=np.float32)[:, None], len(PARTS), axis=1)
        said: dict[str, NDArray[Any]] = {
            "scores": scores[None, :],
            "best": np.arange(len(ids), dtype=np.int32)[None, ::-1],
            "parts": told[None, ::-1],
            "score": scores,
            "probability": (1 / (1 + np.exp(-scores))).astype(np.float32),
        }
        also = frozenset() if self.vectors is None else frozenset({VECTORS})
        return Prediction({name: said[name] for name in outputs}, self.version, also)

    def _vectors(self, ids: NDArray[Any]) -> NDArray[np.float32]:
        held = {id64(place_id): vector for place_id, vector in (self.vectors or {}).items()}
        width = max(map(len, held.values()), default=1)
        rows = [held.get(i, [0.0] * width) for i in ids.view(np.uint64).tolist()]
        return np.array(rows, np.float32)
