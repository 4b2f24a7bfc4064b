"""The producer in the background, on a real Kafka."""

import threading

from confluent_kafka import KafkaError, Message

from contracts.settings import Settings
from contracts.topics import Topics
from inference.producing import BackgroundProducer


def test_a_report_that_goes_wrong_does_not_keep_the_others(
    settings: Settings, topics: Topics
) -> None:
    """Else nothing would ever leave the buffer again, and the service could send no more."""
    arrived = threading.Event()

    def slips(_error: KafkaError | None, _message: Message) -> None:
        raise RuntimeError("a slip")

    def tells(error: KafkaError | None, _message: Message) -> None:
        assert error is None
        arrived.set()

    producer = BackgroundProducer(settings, "test", {})
    producer.produce(topics.impressions.name, b"{}", "u", slips)
    producer.produce(topics.impressions.name, b"{}", "u", tells)
    assert arrived.wait(30)
    producer.close(10)
