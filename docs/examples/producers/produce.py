"""Sends a visit of each user, by confluent-kafka (librdkafka).

python produce.py localhost:9092 placestream.interactions.v1 7 ann
"""

import json
import sys
import uuid
from datetime import UTC, datetime

from confluent_kafka import KafkaError, Message, Producer


def delivered(error: KafkaError | None, message: Message) -> None:
    """Called for each event: an event that Kafka does not have must not be forgotten."""
    if error is not None:
        sys.exit(f"{message.key()!r} was not sent: {error}")


def main(bootstrap: str, topic: str, *users: str) -> None:
    """Send a visit of each user."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            # librdkafka's own default (consistent_random) is another hash than everybody else's.
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
        }
    )
    for user in users:
        event = {
            "user_id": user,
            "place_id": "cafe-1",
            "event_type": "visit",
            "timestamp": datetime.now(UTC).isoformat(),
            "event_id": str(uuid.uuid4()),
        }
        # The key is the user's id as text.
        producer.produce(topic, json.dumps(event), key=user, on_delivery=delivered)
        producer.poll(0)
    producer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
