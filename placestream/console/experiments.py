"""Experiments as the page shows them: what is tried against what, and how far it is decided."""

from typing import Any

import msgspec
import redis

from contracts.settings import Settings
from retrain.experiments import FINAL, Experiment, Experiments
from retrain.keys import ControllerKeys
from retrain.lease import Lease

#: The newest are shown.
SHOWN = 5
NAMES = {
    "success": "answers with a click or visit",
    "degraded": "answers without a ranker",
    "slow": "slow answers",
    "load": "time in models, ms",
}


class Measure(msgspec.Struct, frozen=True):
    """One metric of an experiment; None is not known yet.

    Attributes:
        name: for a person.
        control, treatment: its mean on either side.
        effect, low, high: the difference and its interval, which holds however often one looks:
            shares of the control (`relative`) or plain differences.
        relative: which of them.
        borne: the worst difference that is borne.
        state: `worse`, `as good` or `open`, by that interval.
    """

    name: str
    control: float | None
    treatment: float | None
    effect: float | None
    low: float | None
    high: float | None
    relative: bool
    borne: float
    state: str


class Shown(msgspec.Struct, frozen=True):
    """A pair of models on its way into service, or at the end of it.

    Attributes:
        id, state, note: as `placestream experiments list` has them.
        over: whether it has ended.
        versions: (in service when it began, tried).
        share: of users that fall to the tried pair, 0 to 1.
        since_s: since when it stands there, Unix seconds.
        users: (of the pair in service, of the tried one) so far; None before the canary.
        measures: what it is judged by.
        shadow: what was seen while its answers were computed unseen.
    """

    id: str
    state: str
    note: str
    over: bool
    versions: tuple[int | None, int]
    share: float
    since_s: float
    users: tuple[int, int] | None
    measures: list[Measure]
    shadow: dict[str, float]


def read(settings: Settings, client: redis.Redis) -> list[Shown]:
    """The newest experiments, the newest first.

    Raises:
        redis.RedisError: Redis does not answer.
    """
    records = records_of(settings, client)
    return [shown(records.get(one)) for one in records.ids()[: -SHOWN - 1 : -1]]


def records_of(settings: Settings, client: redis.Redis) -> Experiments:
    """The records, to be read."""
    prefix = settings.key_prefix
    return Experiments(client, prefix, Lease(client, ControllerKeys(prefix)))


def shown(one: Experiment) -> Shown:
    """A record as the page has it."""
    report = one.report
    users = report.get("users")
    return Shown(
        id=one.id,
        state=one.state,
        note=one.note,
        over=one.state in FINAL,
        versions=(one.baseline, one.version),
        share=one.share,
        since_s=one.since_s,
        users=None if users is None else (users["stable"], users["canary"]),
        measures=[_measure(name, row) for name, row in report.get("metrics", {}).items()],
        shadow=report.get("shadow", {}),
    )


def _measure(name: str, row: dict[str, Any]) -> Measure:
    more = row["good"] == "more"
    borne = -row["margin"] if more else row["margin"]
    return Measure(
        name=NAMES.get(name, name),
        control=row["stable"],
        treatment=row["canary"],
        effect=row["effect"],
        low=row["low"],
        high=row["high"],
        relative=row["scale"] == "relative",
        borne=borne,
        state=_state(row["low"], row["high"], borne, more=more),
    )


def _state(low: float | None, high: float | None, borne: float, *, more: bool) -> str:
    """As `retrain.verdict` judges: harm is proven, or excluded, or neither."""
    if low is None or high is None:
        return "open"
    if high < 0 if more else low > borne:
        return "worse"
    return "as good" if (low > borne if more else high < borne) else "open"
