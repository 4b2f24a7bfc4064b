"""The pair of models that is tried: who is answered by it, and what it would have answered."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contracts.experiment import Plan, shadow_key
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from inference.answer import Answer
from inference.deadline import Budget, Clock
from inference.metrics import Metrics
from inference.pipeline import Pipeline
from inference.query import Query
from inference.rank_difference import Difference, difference

log = structlog.get_logger(__name__)

#: What was counted of an experiment is kept for so long.
KEPT_S = 35 * 86_400


class Plans(Protocol):
    """Knows the plan in force; `inference.plan_watch.PlanWatch` is the real one."""

    @property
    def plan(self) -> Plan | None: ...


class ShadowRecord(Protocol):
    """Where comparisons are counted for the experiment's record."""

    async def add(self, experiment: str, sums: Mapping[str, float]) -> None: ...


class RedisShadowRecord:
    """Adds to the sums of an experiment; a Redis that is away costs the record, not an answer."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._prefix = settings.key_prefix

    async def add(self, experiment: str, sums: Mapping[str, float]) -> None:
        """Add to the experiment's sums in one round trip."""
        key = shadow_key(self._prefix, experiment)
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for name, value in sums.items():
                    pipe.hincrbyfloat(key, name, value)
                pipe.expire(key, KEPT_S)
                await pipe.execute()
        except (RedisError, OSError) as error:
            log.warning("shadow_not_recorded", cause=str(error))


class Challenger:
    """Answers as the new pair would: for the canary's users, or beside the answer (shadow).

    What a shadow costs is bounded: it is asked for a share of the answers, after the answer has
    left, one at a time, within the time of one request, and never while the service is busy.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        plans: Plans,
        record: ShadowRecord,
        settings: Settings,
        metrics: Metrics,
        monotonic: Clock,
    ) -> None:
        self.pipeline = pipeline
        self._plans = plans
        self._record = record
        self._time_s = settings.serve_deadline_ms / 1_000
        self._metrics = metrics
        self._monotonic = monotonic
        self._shadow: asyncio.Task[None] | None = None

    def answers(self, user_id: str) -> bool:
        """Whether this user is one of the canary's."""
        plan = self._plans.plan
        return plan is not None and plan.stage == "canary" and plan.takes(user_id)

    def beside(self, query: Query, answer: Answer, *, busy: bool) -> None:
        """Perhaps compute the answer that the new pair would have given; returns at once."""
        plan = self._plans.plan
        if plan is None or plan.stage != "shadow" or not plan.takes(query.request_id):
            return
        if busy or self._shadow is not None or answer.level != pb.DEGRADATION_NONE:
            self._metrics.shadow.labels("skipped").inc()
            return
        self._shadow = asyncio.create_task(self._compare(plan, query, answer))
        self._shadow.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._shadow = None
        if not task.cancelled() and task.exception() is not None:
            log.error("shadow_not_recorded", exc_info=task.exception())

    async def _compare(self, plan: Plan, query: Query, answer: Answer) -> None:
        budget = Budget.of(self._time_s, 0.0, self._monotonic)
        other: Answer | None = None
        query = replace(query, explain=False)  # nobody reads its reasons
        try:
            other = await self.pipeline.recommend(query, budget, seed=answer.seed)
        except Exception:
            # Whatever it is, the new pair's answers bring it: who judges the pair must hear of it.
            log.exception("shadow_failed", experiment=plan.experiment)
        if other is None or not _whole(other, plan):
            self._metrics.shadow.labels("failed").inc()
            await self._record.add(plan.experiment, {"failed": 1})
            return
        found = difference(
            [place.place_id for place in answer.places], [place.place_id for place in other.places]
        )
        self._metrics.shadow.labels("compared").inc()
        self._metrics.shadow_overlap.observe(found.overlap)
        self._metrics.shadow_distance.observe(found.distance)
        await self._record.add(plan.experiment, _sums(found, answer, other))

    async def close(self) -> None:
        """Give up a comparison that is under way."""
        if self._shadow is not None:
            self._shadow.cancel()
            await asyncio.gather(self._shadow, return_exceptions=True)


def _whole(answer: Answer, plan: Plan) -> bool:
    """Whether the pair that is tried gave all of an answer."""
    versions = set(answer.model_versions.values())
    return answer.level == pb.DEGRADATION_NONE and versions == {plan.version}


def _sums(found: Difference, answer: Answer, other: Answer) -> dict[str, Any]:
    return {
        "compared": 1,
        "overlap": found.overlap,
        "distance": found.distance,
        "same_top": float(found.same_top),
        "stable_models_ms": answer.models_ms,
        "canary_models_ms": other.models_ms,
    }
