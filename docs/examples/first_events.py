"""Three cafes, and what Ann did there: the smallest city that can be asked. Make it yours.

. var/up/env && .venv/bin/python docs/examples/first_events.py
"""

import json
from datetime import UTC, datetime, timedelta

from confluent_kafka import Producer

from contracts.kafka import producer_config
from contracts.settings import Settings

PLACES = {
    "cafe-1": ("Café Lune", "Cafe", 40.7301, -73.9902),
    "cafe-2": ("The Daily Grind", "Cafe", 40.7312, -73.9921),
    "noodles-1": ("Noodle Street", "Noodle house", 40.7290, -73.9880),
}
#: Who did what where, minutes ago.
HAPPENED = [
    ("ann", "view", "cafe-2", 30),
    ("ann", "visit", "cafe-2", 20),
    ("bob", "visit", "cafe-2", 5),
]


def main() -> None:
    """Send the places, then what happened."""
    settings = Settings()  # from the environment: where Kafka is, and which partitioner
    producer = Producer(producer_config(settings))

    for place_id, (name, category, lat, lng) in PLACES.items():
        updates = {"name": name, "category": category, "location": {"lat": lat, "lng": lng}}
        place = {"place_id": place_id, "updates": updates}
        producer.produce(settings.topics.place_updates.name, json.dumps(place), key=place_id)

    for number, (user, event_type, place_id, minutes) in enumerate(HAPPENED):
        event = {
            "event_id": f"first-{number}",
            "user_id": user,
            "place_id": place_id,
            "event_type": event_type,
            "timestamp": (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(),
        }
        producer.produce(settings.topics.interactions.name, json.dumps(event), key=user)

    producer.flush()


if __name__ == "__main__":
    main()
