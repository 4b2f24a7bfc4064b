"""When to ask for a new pair of models, and asking.

`decide` is pure: what was observed, what was answered before, the time - and out come the next
state and perhaps one request. Where the state lives is `retrain.trigger_state`'s business.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from contracts.events import RetrainRequested, Span
from contracts.settings import Settings
from retrain.publish import Publisher
from retrain.target_drift import TARGET

Reason = Literal["psi", "ks", "accuracy", "samples", "schedule", "manual"]

SAMPLES = 1_000_000
MAX_AGE_S = 7 * 86_400.0
ACCURACY, ACCURACY_MARGIN = 0.80, 0.02
TARGET_PSI = 0.2
AGAIN_S = 86_400.0
_PSI, _ACCURACY = "psi:", "accuracy"


def new_audit_id() -> str:
    """A fresh audit id; everything that a request leads to carries it."""
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Policy:
    """Marks above which something is done.

    Attributes:
        psi: a column above it has drifted.
        psi_rearm: a column that asked once may ask again only after it fell below this.
        target_psi: the same mark for what users choose (`retrain.target_drift`); half of it arms
            again.
        accuracy: an accuracy that is surely below it asks.
        accuracy_rearm: once it asked, it may ask again only after it rose above this.
        samples: new interactions that are worth a training.
        max_age_s: oldest that a training may become.
        cooldown_s: least time between two requests.
        again_s: least time from a request of which no new pair came to the next for a cause that
            stands.
    """

    psi: float
    psi_rearm: float
    cooldown_s: float
    samples: int = SAMPLES
    max_age_s: float = MAX_AGE_S
    accuracy: float = ACCURACY
    accuracy_rearm: float = ACCURACY + ACCURACY_MARGIN
    target_psi: float = TARGET_PSI
    again_s: float = AGAIN_S

    def marks(self, column: str) -> tuple[float, float]:
        """PSI above which a column asks, and below which it may ask again."""
        if column == TARGET:
            return self.target_psi, self.target_psi / 2
        return self.psi, self.psi_rearm

    @classmethod
    def of(cls, settings: Settings) -> "Policy":
        """The policy of an installation; half the mark (the customary warning) arms again."""
        return cls(
            settings.psi_retrain,
            settings.psi_retrain / 2,
            settings.retrain_cooldown_s,
            accuracy=settings.accuracy_retrain,
            accuracy_rearm=settings.accuracy_retrain + ACCURACY_MARGIN,
            target_psi=settings.target_psi_retrain,
            again_s=settings.retrain_again_s,
        )


@dataclass(frozen=True)
class Observation:
    """What is known now; what is not known is absent.

    Attributes:
        psi: by column.
        samples_since_training: interactions that the model in service has not seen.
        trained_at_s: when the model in service was trained, Unix seconds.
        context: further evidence for the reader of a request.
        chance: PSI by column that sampling alone may reach (`retrain.psi`); absent: none.
        accuracy: of the model in service on what users chose (`retrain.served_quality`).
        window_s: from the oldest to the newest answer that was judged, Unix seconds.
        version: of the model in service.
        accuracy_high: upper bound of `accuracy`; absent: itself; NaN: nobody can tell yet.
    """

    psi: Mapping[str, float] = field(default_factory=dict)
    samples_since_training: int | None = None
    trained_at_s: float | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    chance: Mapping[str, float] = field(default_factory=dict)
    accuracy: float | None = None
    window_s: tuple[float, float] | None = None
    version: int | None = None
    accuracy_high: float | None = None


class TriggerState(msgspec.Struct, frozen=True):
    """What must outlive a restart.

    Attributes:
        since_s: when this installation first looked; its age counts until there is a model.
        last_request_s: when the last request was made.
        answered: cause to the level at which it was answered. Causes are `psi:<column>` and
            `accuracy` (level 1: beyond the mark), `samples` (whole millions) and `schedule`
            (whole weeks).
        pending: a request that was decided on and may not have reached Kafka.
        last_audit_id: of the last request; states of before this was kept have none.
        asked_of: the version that was in service then.
    """

    since_s: float | None = None
    last_request_s: float | None = None
    answered: dict[str, int] = {}
    pending: RetrainRequested | None = None
    last_audit_id: str | None = None
    asked_of: int | None = None


def never_ended(_audit_id: str) -> bool:
    """Where nobody trains, as in a simulation of what the triggers would ask."""
    return False


def decide(
    seen: Observation,
    state: TriggerState,
    policy: Policy,
    now_s: float,
    audit_id: Callable[[], str] = new_audit_id,
    ended: Callable[[str], bool] = never_ended,
) -> TriggerState:
    """Return the next state; its `pending` is new if a request is due.

    One cause gives one event: a cause asks when its level passes the one already answered, and is
    forgotten when its level falls (for PSI: below `psi_rearm`, so that a column that hovers around
    the mark asks once) or when what it led to has not helped (`_rearmed`). All causes that are due
    share one request. Within the cool-down they wait.

    Args:
        seen: what is known now.
        state: as the last look left it.
        policy: marks and times.
        now_s: Unix seconds.
        audit_id: of a new request.
        ended: whether the request of an audit id has come to its end, and so has the pair that
            came of it.
    """
    since_s = now_s if state.since_s is None else state.since_s
    state = _rearmed(seen, state, policy, now_s, ended)
    levels = _levels(seen, state, policy, now_s - (seen.trained_at_s or since_s))
    answered = {c: min(level, levels[c]) for c, level in state.answered.items() if c in levels}
    answered |= {c: level for c, level in state.answered.items() if c not in levels}
    answered = {c: level for c, level in answered.items() if level > 0}
    state = msgspec.structs.replace(state, since_s=since_s, answered=answered)
    due = {cause: level for cause, level in levels.items() if level > answered.get(cause, 0)}
    if not due or state.pending is not None or _cooling(state, policy, now_s):
        return state
    request = RetrainRequested(
        audit_id=audit_id(),
        reason=_reason(due),
        requested_at=datetime.fromtimestamp(now_s, UTC),
        evidence=_evidence(seen, due, policy),
        window=_window(seen),
    )
    return msgspec.structs.replace(
        state,
        answered=answered | due,
        last_request_s=now_s,
        pending=request,
        last_audit_id=request.audit_id,
        asked_of=state.asked_of if seen.version is None else seen.version,
    )


def _rearmed(
    seen: Observation,
    state: TriggerState,
    policy: Policy,
    now_s: float,
    ended: Callable[[str], bool],
) -> TriggerState:
    """Forget which of a model's own causes were answered, if the answer is in and did not help.

    A pair that learned mostly of the days before may drift like the one that it replaces, and a
    rejected one replaces nothing. So once the last request has ended, the cause may ask again: of
    another version in service at once, of the same one when `again_s` has passed. (Samples and age
    have levels that grow, and need none of this.)
    """
    kept = {c: at for c, at in state.answered.items() if not c.startswith((_PSI, _ACCURACY))}
    if len(kept) == len(state.answered) or state.pending is not None:
        return state
    another = None not in (seen.version, state.asked_of) and seen.version != state.asked_of
    rested = state.last_request_s is None or now_s - state.last_request_s >= policy.again_s
    if not (another or rested):
        return state
    if state.last_audit_id is not None and not ended(state.last_audit_id):
        return state
    return msgspec.structs.replace(state, answered=kept)


def _levels(seen: Observation, state: TriggerState, policy: Policy, age_s: float) -> dict[str, int]:
    levels = {"schedule": int(age_s // policy.max_age_s)}
    if seen.samples_since_training is not None:
        levels["samples"] = seen.samples_since_training // policy.samples
    if seen.accuracy is not None:
        high = seen.accuracy if seen.accuracy_high is None else seen.accuracy_high
        if high < policy.accuracy:
            levels[_ACCURACY] = 1
        elif seen.accuracy > policy.accuracy_rearm:
            levels[_ACCURACY] = 0
        else:
            levels[_ACCURACY] = state.answered.get(_ACCURACY, 0)
    for column, psi in seen.psi.items():
        cause = _PSI + column
        mark, rearm = policy.marks(column)
        if psi > max(mark, seen.chance.get(column, 0.0)):
            levels[cause] = 1
        elif psi < rearm:
            levels[cause] = 0
        else:
            levels[cause] = state.answered.get(cause, 0)
    return levels


def _cooling(state: TriggerState, policy: Policy, now_s: float) -> bool:
    return state.last_request_s is not None and now_s - state.last_request_s < policy.cooldown_s


def _reason(due: Mapping[str, int]) -> Reason:
    if any(cause.startswith(_PSI) for cause in due):
        return "psi"
    if _ACCURACY in due:
        return "accuracy"
    return "samples" if "samples" in due else "schedule"


def _window(seen: Observation) -> Span | None:
    if seen.window_s is None:
        return None
    since, until = (datetime.fromtimestamp(at_s, UTC) for at_s in seen.window_s)
    return Span(since, until)


def _evidence(seen: Observation, due: Mapping[str, int], policy: Policy) -> dict[str, Any]:
    return {
        "causes": sorted(due),
        "psi": {c: round(seen.psi[c], 4) for c in seen.psi if _PSI + c in due},
        "psi_threshold": policy.psi,
        "target_psi_threshold": policy.target_psi,
        "psi_chance": {c: round(seen.chance[c], 4) for c in seen.chance if _PSI + c in due},
        "accuracy": None if seen.accuracy is None else round(seen.accuracy, 4),
        "accuracy_high": None if seen.accuracy_high is None else round(seen.accuracy_high, 4),
        "accuracy_threshold": policy.accuracy,
        "samples_since_training": seen.samples_since_training,
        "trained_at_s": seen.trained_at_s,
        **seen.context,
    }


def request_now(
    settings: Settings,
    reason: Reason = "manual",
    note: str = "",
    *,
    clock: Callable[[], float] = time.time,
    audit_id: Callable[[], str] = new_audit_id,
) -> str:
    """Ask for a training by hand; neither cool-down nor hysteresis holds it back.

    Returns:
        The audit id of the request.

    Raises:
        retrain.publish.NotPublished: Kafka did not take it.
    """
    request = RetrainRequested(
        audit_id=audit_id(),
        reason=reason,
        requested_at=datetime.fromtimestamp(clock(), UTC),
        evidence={"note": note} if note else {},
    )
    with closing(Publisher(settings)) as publisher:
        publisher.send(settings.topics.retrain, request.audit_id, request)
    return request.audit_id
