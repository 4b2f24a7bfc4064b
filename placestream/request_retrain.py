"""`placestream retrain --now` and `--if-due`: ask for new models by hand, or by a schedule."""

import time
import uuid
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

from redis import RedisError

from contracts.events import RetrainRequested
from contracts.settings import Settings
from online_features.redis_client import blocking_client_of
from retrain.in_service import NoCard, load_in_service
from retrain.publish import Publisher
from retrain.rollout import current
from retrain.trigger_state import Triggers
from retrain.triggers import Observation


def request_retrain(settings: Settings, reason: str) -> str:
    """Send one request to the trainer; return its audit id.

    Raises:
        NotPublished: Kafka did not acknowledge it.
    """
    request = RetrainRequested(
        audit_id=str(uuid.uuid4()),
        reason="manual",
        requested_at=datetime.now(UTC),
        evidence={"note": reason},
    )
    Publisher(settings).send(settings.topics.retrain, request.audit_id, request)
    return request.audit_id


def request_if_due(settings: Settings, clock: Callable[[], float] = time.time) -> str | None:
    """Send a request if the pair in service is too old and nobody has asked yet; its audit id.

    Decides as a running trainer does, with the same memory in Redis: what that one has asked for
    within the week, or this has before, is not asked for again.

    Raises:
        NotPublished: Kafka did not acknowledge it; asked again, it goes under the same id.
        RuntimeError: Redis did not answer.
    """
    try:
        with (
            blocking_client_of(settings, socket_timeout=5, socket_connect_timeout=5) as client,
            closing(Publisher(settings)) as publisher,
        ):
            return Triggers(settings, client, publisher, clock).look(_age_of_pair(settings))
    except RedisError as error:
        raise RuntimeError(f"Redis did not answer: {error}") from error


def _age_of_pair(settings: Settings) -> Observation:
    version = current(settings)
    if version is None:
        return Observation()
    try:
        return Observation(trained_at_s=load_in_service(settings, version).trained_at_s)
    except NoCard:
        return Observation()  # as the trainer: the week counts from the first look
