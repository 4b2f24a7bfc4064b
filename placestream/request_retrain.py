"""`placestream retrain --now`: asks for new models by hand."""

import uuid
from datetime import UTC, datetime

from contracts.events import RetrainRequested
from contracts.settings import Settings
from retrain.publish import Publisher


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
