"""How far the work on a request has come, by audit id: a restart neither repeats nor skips."""

from typing import Any, Literal

import msgspec
import redis

from contracts.topics import DAY_MS
from retrain.keys import Keys
from retrain.lease import Lease

#: Requests stay in Kafka for 28 days and can come again for as long; the record outlives them.
KEPT_S = 35 * DAY_MS // 1000

Stage = Literal["training", "exported", "on_trial", "promoted", "rejected", "failed"]
FINAL: tuple[Stage, ...] = ("on_trial", "promoted", "rejected", "failed")


class Job(msgspec.Struct, frozen=True):
    """One request on its way.

    Attributes:
        audit_id: of the request.
        stage: `training` until there is an outcome, `exported` while it is rolled out, then final;
            `on_trial`: an experiment has taken it over.
        attempts: how often the training was begun, and not stopped in order.
        version: of the exported pair.
        metrics: held-out metrics of the new pair.
        note: why it ended so, for a person.
        evidence: the same for a program; see docs/retraining.md.
        told: steps whose events Kafka has acknowledged.
    """

    audit_id: str
    stage: Stage = "training"
    attempts: int = 0
    version: int | None = None
    metrics: dict[str, float] = {}
    note: str = ""
    evidence: dict[str, Any] = {}
    told: list[str] = []

    def change(self, **fields: Any) -> "Job":
        """A copy with other values."""
        return msgspec.structs.replace(self, **fields)


class Jobs:
    """The records in Redis. Anyone reads; only the holder of the lease writes."""

    def __init__(self, client: redis.Redis, keys: Keys, lease: Lease) -> None:
        self._redis = client
        self._keys = keys
        self._lease = lease
        self._decoder = msgspec.json.Decoder(Job)

    def load(self, audit_id: str) -> Job:
        """The record of a request; a new one if it was never taken up."""
        value: Any = self._redis.get(self._keys.job(audit_id))
        return self._decoder.decode(value) if value else Job(audit_id)

    def save(self, job: Job) -> Job:
        """Write a record and return it.

        Raises:
            LeaseLost: another trainer may hold the lease.
        """
        self._lease.fenced_set(self._keys.job(job.audit_id), msgspec.json.encode(job), KEPT_S)
        return job
