"""The record of each pair on its way into service, in Redis, with a history that only grows."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import redis

from contracts.experiment import PLAN_LIVES_S, Plan, plan_key, shadow_key
from retrain.keys import Keys
from retrain.lease import Lease, LeaseLost

State = Literal[
    "waiting", "shadow", "canary", "promoting", "promoted", "rolling_back", "rolled_back", "failed"
]
FINAL: tuple[State, ...] = ("promoted", "rolled_back", "failed")
#: An audit id tells the event topic of these; the others are on the way to them.
TOLD: tuple[State, ...] = ("shadow", "canary", *FINAL)

_CREATE = """
if redis.call('SETNX', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('RPUSH', KEYS[3], ARGV[3])
return 1
"""
#: Record, plan and history move together, and only for who holds the lease.
_SAVE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
if ARGV[3] == '' then redis.call('DEL', KEYS[3])
elseif ARGV[3] ~= '=' then redis.call('SET', KEYS[3], ARGV[3], 'EX', ARGV[4]) end
if ARGV[5] ~= '' then redis.call('RPUSH', KEYS[4], ARGV[5]) end
return 1
"""


class Experiment(msgspec.Struct, frozen=True):
    """One pair, from its export to its end.

    Attributes:
        id: for people: `pair-` and its version (see `Experiments.begin`).
        audit_id: of the request that led to it.
        version: of the pair; `baseline` of the one that was in service when it began.
        state: where it stands; `since_s` since when, Unix seconds.
        created_s, canary_s: when it was handed over, and when users first met it.
        note: why it stands there, for a person.
        share: of the users, in the canary; the salt of their choice is `id` and `audit_id`.
        report: the last look at it: metrics with their intervals, users, shadow.
        untold: states whose events Kafka has not acknowledged yet.
        metrics: held-out, of the training.
    """

    id: str
    audit_id: str
    version: int
    created_s: float
    since_s: float
    state: State = "waiting"
    baseline: int | None = None
    canary_s: float | None = None
    note: str = ""
    share: float = 0.1
    report: dict[str, Any] = {}
    untold: list[State] = []
    metrics: dict[str, float] = {}

    @property
    def salt(self) -> str:
        """Of its choice of users: no other experiment's."""
        return f"{self.id}:{self.audit_id}"

    def change(self, **fields: Any) -> "Experiment":
        """A copy with other values."""
        return msgspec.structs.replace(self, **fields)

    def moved(self, state: State, now_s: float, note: str, **fields: Any) -> "Experiment":
        """A copy in another state."""
        untold = [*self.untold, state] if state in TOLD else self.untold
        return self.change(state=state, since_s=now_s, note=note, untold=untold, **fields)


def shadow_means(sums: Mapping[str, float]) -> dict[str, float]:
    """What services counted of a shadow (`Experiments.shadow`), as means."""
    compared = sums.get("compared", 0.0)
    means = {
        name: value / compared
        for name, value in sums.items()
        if name not in ("compared", "failed") and compared
    }
    return {"compared": compared, "failed": sums.get("failed", 0.0)} | means


class Entry(msgspec.Struct, frozen=True):
    """A line of the history.

    Attributes:
        at_s: Unix seconds.
        state: that was entered then.
        note: why.
        fence: token of the controller that did it; 0 where none was needed.
    """

    at_s: float
    state: State
    note: str
    fence: int


class NoSuchExperiment(ValueError):
    """Nothing is known under an id."""


class Experiments:
    """The records. Anyone reads; only who holds the controller's lease writes."""

    def __init__(self, client: redis.Redis, prefix: str, lease: Lease) -> None:
        self._redis = client
        self._keys = Keys(prefix)
        self._plan_key = plan_key(prefix)
        self._prefix = prefix
        self._lease = lease
        self._create = client.register_script(_CREATE)
        self._save = client.register_script(_SAVE)
        self._decoder = msgspec.json.Decoder(Experiment)

    def begin(
        self, audit_id: str, version: int, now_s: float, share: float, metrics: dict[str, float]
    ) -> Experiment:
        """Hand a trained pair over; the same one again changes nothing.

        A version's number comes from what is on disk. Where the newest folder was deleted, or the
        models came back from a copy, a number has a record of another pair already: the new pair
        then has its audit id in its name, too.
        """
        names = (f"pair-{version}", f"pair-{version}-{audit_id[:8]}", f"pair-{version}-{audit_id}")
        for name in names:
            new = Experiment(name, audit_id, version, now_s, now_s, share=share, metrics=metrics)
            if (found := self._begin(new)).audit_id == audit_id:
                return found
        raise AssertionError("a name with the whole audit id is nobody else's")

    def _begin(self, new: Experiment) -> Experiment:
        """The record under its name: the new one, unless there is one."""
        entry = msgspec.json.encode(Entry(new.created_s, "waiting", "trained and exported", 0))
        of = (self._keys.experiment(new.id), self._keys.experiments, self._keys.history(new.id))
        self._create(keys=list(of), args=[msgspec.json.encode(new), new.id, entry])
        return self.get(new.id)

    def get(self, experiment_id: str) -> Experiment:
        """One record.

        Raises:
            NoSuchExperiment: there is none; names those that there are.
        """
        value: Any = self._redis.get(self._keys.experiment(experiment_id))
        if value is None:
            known = ", ".join(self.ids()[-5:]) or "none yet: they begin when a pair was trained"
            raise NoSuchExperiment(f"no experiment {experiment_id!r}; the newest are: {known}")
        return self._decoder.decode(value)

    def ids(self) -> list[str]:
        """All ids, the oldest first."""
        found: Any = self._redis.lrange(self._keys.experiments, 0, -1)
        return [value.decode() for value in found]

    def all(self) -> list[Experiment]:
        """All records, the oldest first."""
        return [self.get(one) for one in self.ids()]

    def history(self, experiment_id: str) -> list[Entry]:
        """Every state that it was in, the oldest first."""
        found: Any = self._redis.lrange(self._keys.history(experiment_id), 0, -1)
        return [msgspec.json.decode(value, type=Entry) for value in found]

    def shadow(self, experiment_id: str) -> dict[str, float]:
        """What services counted while they answered with both pairs; see `inference.challenger`."""
        found: Any = self._redis.hgetall(shadow_key(self._prefix, experiment_id))
        return {name.decode(): float(value) for name, value in found.items()}

    def save(
        self,
        experiment: Experiment,
        *,
        moved: bool,
        plan: Plan | Literal["as it is"] | None = "as it is",
        at_s: float | None = None,
    ) -> Experiment:
        """Write a record and the plan that services follow, in one step; return the record.

        Args:
            experiment: as it is to be.
            moved: whether the history tells of it: it is in a new state, or stays for a new reason.
            plan: in force from now on, for two minutes unless it is written again.
            at_s: when it `moved`, Unix seconds; by default when its state began.

        Raises:
            LeaseLost: another controller may be at work.
        """
        when_s = experiment.since_s if at_s is None else at_s
        at = Entry(when_s, experiment.state, experiment.note, self._lease.token)
        args: list[int | bytes] = [
            self._lease.token,
            msgspec.json.encode(experiment),
            b"=" if plan == "as it is" else b"" if plan is None else msgspec.json.encode(plan),
            PLAN_LIVES_S,
            msgspec.json.encode(at) if moved else b"",
        ]
        keys = [
            self._keys.lease_of_controller,
            self._keys.experiment(experiment.id),
            self._plan_key,
            self._keys.history(experiment.id),
        ]
        if not int(self._save(keys=keys, args=args)):
            raise LeaseLost(f"token {self._lease.token} no longer holds the controller's lease")
        return experiment
