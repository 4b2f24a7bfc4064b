"""The least that an answer costs here: its own reads and model calls, and nothing around them.

What the service asks of Redis and of the models is recorded from its own pipeline, run once in
this process. The floor then repeats it: GET the user's state, ask the candidate model, MGET the
places' states, ask the ranker; one after the other, for each needs the one before it. Requests
to the models are serialized beforehand, nothing that comes back is decoded. The clients are those
of the service. (The service itself asks for the user while it looks for what is near, where here
nothing is done meanwhile, and keeps states of places until they change, where here all are read.)
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import numpy as np
from numpy.typing import NDArray
from redis.asyncio import Redis

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from inference import serving_messages as messages
from inference.deadline import Budget
from inference.model_client import ModelClient, Prediction
from inference.pipeline import Pipeline
from inference.query import Query
from inference.tensor_codec import encode
from online_features.catalogue import Catalogue
from online_features.catalogue_feed import CatalogueFeed
from online_features.crowds import Crowds
from online_features.keys import Keys
from online_features.reader import OnlineReader, Scene, UserRead
from online_features.redis_client import client_of

_PATIENCE_S = 30.0
_MOST_AT_ONCE = 10_000


@dataclass
class Errand:
    """What one answer asked of other processes; filled in while it is recorded.

    Attributes:
        user_key: key of the user's state.
        place_keys: keys of the places' states.
        requests: serialized PredictRequest by model.
        shapes: what each model was asked for, [.., places].
    """

    user_key: str = ""
    place_keys: list[str] = field(default_factory=list)
    requests: dict[str, bytes] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


class _NotingStore(OnlineReader):
    """Notes which states are read."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        super().__init__(redis, settings)
        self._of = Keys.of(settings)
        self.errand = Errand()

    async def user(self, user_id: str) -> UserRead:
        self.errand.user_key = self._of.entity("i", user_id)
        return await super().user(user_id)

    async def scene(
        self,
        rows: NDArray[np.int64],
        place_ids: Callable[[NDArray[np.int64]], list[str]],
        region: str,
        now_s: float,
        since: int | None = None,
    ) -> Scene:
        self.errand.place_keys = self._of.entities("b", place_ids(rows))
        return await super().scene(rows, place_ids, region, now_s, since)


class _NotingModels(ModelClient):
    """Notes what the models are asked."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.model_server, settings.model_label)
        self._of_version = settings.model_label
        self.errand = Errand()

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, tuple[int, ...]],
        timeout_s: float,
        signature: str = "",
    ) -> Prediction:
        assert not signature, "the floor is that of answers that are not varied"
        request = messages.PredictRequest()
        request.model_spec.name = model
        request.model_spec.version_label = self._of_version
        for name, array in inputs.items():
            encode(array, request.inputs[name])
        request.output_filter.extend(outputs)
        self.errand.requests[model] = request.SerializeToString()
        self.errand.shapes[model] = next(iter(outputs.values()))
        return await super().predict(model, inputs, outputs, timeout_s)


async def record(settings: Settings, asked: Sequence[pb.RecommendRequest]) -> list[Errand]:
    """Run the service's pipeline once for each request, and return what it asked for.

    Raises:
        RuntimeError: an answer was not whole; says why.
        TimeoutError: the catalogue could not be read.
    """
    catalogue = Catalogue()
    feed = CatalogueFeed(settings, catalogue)
    redis = Redis.from_url(settings.redis_url.get_secret_value())
    store, models = _NotingStore(redis, settings), _NotingModels(settings)
    # Time-outs on reads are for a service under load; here nothing may be missed.
    patient = settings.model_copy(update={"redis_timeout_ms": round(1_000 * _PATIENCE_S)})
    clocks = {"clock": time.time, "monotonic": time.monotonic}
    pipeline = Pipeline(patient, catalogue, Crowds(), store, models, **clocks, new_seed=lambda: 0)
    errands = []
    feed.start()
    try:
        if not await asyncio.to_thread(feed.wait_loaded, _PATIENCE_S):
            raise TimeoutError(f"the catalogue was not read within {_PATIENCE_S:.0f} s")
        for request in asked:
            store.errand = models.errand = Errand()
            await _answered(pipeline, request)
            errands.append(store.errand)
        return errands
    finally:
        await asyncio.to_thread(feed.close)
        await models.close()
        await redis.aclose()


async def _answered(pipeline: Pipeline, request: pb.RecommendRequest) -> None:
    query = Query(
        user_id=request.user_id,
        lat=request.location.lat,
        lng=request.location.lng,
        limit=request.limit,
        request_id="floor",
    )
    answer = await pipeline.recommend(query, Budget.of(_PATIENCE_S, 0.0, time.monotonic))
    if answer.level != pb.DEGRADATION_NONE or not answer.places:
        raise RuntimeError(f"an answer was not whole: {answer.causes or 'no place near'}")


@dataclass(frozen=True, slots=True)
class FloorTimes:
    """Milliseconds of the parts of one errand, in their order, and bytes from Redis."""

    get_ms: float
    candidates_ms: float
    mget_ms: float
    ranker_ms: float
    redis_bytes: int


class Floor:
    """Runs errands."""

    def __init__(self, settings: Settings, errands: Sequence[Errand]) -> None:
        """Open the connections; belongs to the running event loop."""
        self._errands = errands
        # As many at once as an overload may bring.
        self._redis = client_of(settings, max_connections=_MOST_AT_ONCE)
        self._channel = grpc.aio.insecure_channel(settings.model_server)
        # Bytes in, bytes out.
        self._predict: Any = self._channel.unary_unary(messages.PREDICT)

    async def run(self, i: int) -> FloorTimes:
        """Run errand `i`, counted round and round.

        Raises:
            grpc.aio.AioRpcError, redis.RedisError: a part failed.
        """
        errand, clock = self._errands[i % len(self._errands)], time.perf_counter
        redis: Any = self._redis
        began = clock()
        user = await redis.get(errand.user_key)
        got = clock()
        await self._predict(errand.requests["candidates"], timeout=_PATIENCE_S)
        scored = clock()
        places = await redis.mget(errand.place_keys)
        read = clock()
        await self._predict(errand.requests["ranker"], timeout=_PATIENCE_S)
        ranked = clock()
        return FloorTimes(
            get_ms=1_000 * (got - began),
            candidates_ms=1_000 * (scored - got),
            mget_ms=1_000 * (read - scored),
            ranker_ms=1_000 * (ranked - read),
            redis_bytes=sum(len(value) for value in [user, *places] if value is not None),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._channel.close()
        await self._redis.aclose()
