"""Follows the plan of the experiment that is under way, as Redis has it."""

import asyncio

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contracts.experiment import PLAN_TRUSTED_S, Plan, plan_key, read_plan
from contracts.settings import Settings
from inference.deadline import Clock

log = structlog.get_logger(__name__)

#: A plan is followed, and given up, this soon.
EVERY_S = 1.0


class PlanWatch:
    """Keeps `plan`; whatever is wrong with it, the pair in service answers alone."""

    def __init__(self, redis: Redis, settings: Settings, monotonic: Clock) -> None:
        self.plan: Plan | None = None
        self._redis = redis
        self._key = plan_key(settings.key_prefix)
        self._monotonic = monotonic
        self._read_s = monotonic()
        self._away = False

    async def run(self) -> None:
        """Read the plan every second until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Read the plan once; while Redis is away the last one holds for half a minute."""
        try:
            plan = read_plan(await self._redis.get(self._key))
        except (RedisError, OSError) as error:
            self._complain("plan_not_read", error)
            if self._monotonic() - self._read_s > PLAN_TRUSTED_S:
                self._follow(None)
            return
        except Exception as error:  # whatever is in that key, this loop must go on
            self._complain("plan_unreadable", error)
            plan = None
        else:
            self._away = False
        self._read_s = self._monotonic()
        self._follow(plan)

    def _complain(self, event: str, error: Exception) -> None:
        if not self._away:
            log.warning(event, cause=str(error))
        self._away = True

    def _follow(self, plan: Plan | None) -> None:
        if plan != self.plan:
            named = None if plan is None else plan.experiment
            log.info("plan_followed", experiment=named, stage=plan and plan.stage)
        self.plan = plan
