"""Keeps the triggers' state in Redis, and sees to it that what was decided on is sent."""

from collections.abc import Callable
from typing import Any

import msgspec
import redis
import structlog

from contracts.settings import Settings
from retrain.keys import Keys, MonitorKeys
from retrain.lease import Lease
from retrain.publish import Outbox
from retrain.request_end import has_ended
from retrain.triggers import Observation, Policy, TriggerState, decide, new_audit_id

_log = structlog.get_logger(__name__)
_decoder = msgspec.json.Decoder(TriggerState)


class Triggers:
    """Decides with a memory that restarts and twins share.

    A request is first written to Redis, then sent, then struck off. Killed in between, the next
    look sends it again under the same audit id, by which the trainer knows it.

    What a look has not seen is no reason to forget that it was answered, but what it has seen calm
    is. So two that each see a part of the answers would undo each other's memory: who looks again
    and again holds the `lease`.
    """

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis,
        outbox: Outbox,
        clock: Callable[[], float],
        audit_id: Callable[[], str] = new_audit_id,
    ) -> None:
        self._topic = settings.topics.retrain
        self._prefix = settings.key_prefix
        self._policy = Policy.of(settings)
        self._key = Keys(settings.key_prefix).triggers
        self._redis = client
        self.lease = Lease(client, MonitorKeys(settings.key_prefix))
        self._outbox = outbox
        self._clock = clock
        self._audit_id = audit_id

    def look(self, seen: Observation) -> str | None:
        """Judge what was observed; return the audit id of a request that was sent, if one was.

        Raises:
            retrain.publish.NotPublished: a request is due and Kafka did not take it; the next
                look sends it.
        """
        now_s = self._clock()
        state = self._update(
            lambda s: decide(seen, s, self._policy, now_s, self._audit_id, self._ended)
        )
        request = state.pending
        if request is None:
            return None
        self._outbox.send(self._topic, request.audit_id, request)
        self._update(lambda s: _strike(s, request.audit_id))
        _log.info(
            "retrain_requested",
            audit_id=request.audit_id,
            reason=request.reason,
            causes=request.evidence.get("causes"),
        )
        return request.audit_id

    def _ended(self, audit_id: str) -> bool:
        return has_ended(self._redis, self._prefix, audit_id)

    def state(self) -> TriggerState:
        """The state as it is in Redis."""
        return _decode(self._redis.get(self._key))

    def _update(self, change: Callable[[TriggerState], TriggerState]) -> TriggerState:
        """Compare and set: `change` runs again if a twin wrote in between."""
        with self._redis.pipeline(transaction=True) as pipe:
            while True:
                pipe.watch(self._key)  # type: ignore[no-untyped-call] # redis-py's
                before = _decode(pipe.get(self._key))
                after = change(before)
                if after == before:
                    return after
                pipe.multi()
                pipe.set(self._key, msgspec.json.encode(after))
                try:
                    pipe.execute()
                    return after
                except redis.WatchError:
                    continue


def _decode(value: Any) -> TriggerState:
    return _decoder.decode(value) if value else TriggerState()


def _strike(state: TriggerState, audit_id: str) -> TriggerState:
    if state.pending is None or state.pending.audit_id != audit_id:
        return state
    return msgspec.structs.replace(state, pending=None)
