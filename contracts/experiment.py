"""What the service is told of a pair of models on its way into service, and whom it falls to."""

from typing import Literal

import msgspec
import xxhash
from msgspec import Struct

#: Version label of the pair that is tried, beside that of the pair in service.
CANARY = "canary"
#: Users fall into so many slices; a share is a whole number of them.
SLICES = 10_000
#: Rewritten by the controller well within this; an older plan is nobody's any more.
PLAN_LIVES_S = 120
#: Longest that a service goes on with a plan that it could not read again.
PLAN_TRUSTED_S = 30.0


class Plan(Struct, frozen=True):
    """The part of an experiment that the service follows; absent: everything is as ever.

    Attributes:
        experiment: its id.
        stage: `shadow`: some answers are computed by both pairs and given by the one in service;
            `canary`: some users are answered by the new pair.
        salt: makes this experiment's choice of users independent of all others'.
        share: of answers (shadow) or users (canary), 0 to 1.
        version: of the new pair.
    """

    experiment: str
    stage: Literal["shadow", "canary"]
    salt: str
    share: float
    version: int

    def takes(self, key: str) -> bool:
        """Whether a user (canary) or a request (shadow) is among the share."""
        return slice_of(self.salt, key) < round(self.share * SLICES)


def slice_of(salt: str, key: str) -> int:
    """The slice, 0 to 9,999, that a user falls into: always the same under one salt.

    XXH3 of salt and key together: under two salts the slices of a user have nothing to do with
    each other, so that an experiment does not inherit the canary of the one before it.
    """
    return xxhash.xxh3_64_intdigest(f"{salt}\0{key}".encode()) % SLICES


def key_root(prefix: str) -> str:
    """First part of the trainer's keys in Redis; one hash tag, so one node of a cluster."""
    return f"{{{prefix}:retrain:v1}}"


def plan_key(prefix: str) -> str:
    """Key of the plan in force, JSON; absent while no pair is tried."""
    return f"{key_root(prefix)}:plan"


def shadow_key(prefix: str, experiment: str) -> str:
    """Key of what services counted while they answered with both pairs: a hash of sums."""
    return f"{key_root(prefix)}:shadow:{experiment}"


_DECODER = msgspec.json.Decoder(Plan)


def read_plan(value: bytes | str | None) -> Plan | None:
    """Decode a plan.

    Raises:
        ValueError: it is none (`msgspec.DecodeError` and `ValidationError` are ValueErrors).
    """
    return None if value is None else _DECODER.decode(value)
