"""The producer in the background, on a real Kafka."""

import ctypes
import threading
from pathlib import Path

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from contracts.settings import Settings
from contracts.topics import Topics
from inference.producing import BackgroundProducer
from tests.inference.waiting import eventually

OUT_OF_ORDER = 45


def end(producer: Producer) -> None:
    """Have librdkafka itself meet a fatal error, by the function that it has for such tests."""
    libraries = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    (library,) = libraries.glob("librdkafka-*.so*")
    fail = ctypes.CDLL(str(library)).rd_kafka_test_fatal_error
    fail.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    # Behind the head of a Python object, the wrapper begins with librdkafka's handle.
    handle = ctypes.c_void_p.from_address(id(producer) + object.__basicsize__)
    assert fail(handle, OUT_OF_ORDER, b"by a test") == 0


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


async def test_one_that_can_send_no_more_is_replaced(settings: Settings, topics: Topics) -> None:
    """Else every event would be refused until a restart; what it held is reported as lost."""
    told: list[KafkaError | None] = []
    refusals: list[int] = []

    def tells(error: KafkaError | None, _message: Message) -> None:
        told.append(error)

    def taken() -> bool:
        try:
            producer.produce(topics.impressions.name, b"{}", "u", tells)
        except KafkaException as error:
            refusals.append(error.args[0].code())
            return False
        return True

    producer = BackgroundProducer(settings, "test", {"linger.ms": 60_000})
    assert taken()
    end(producer._producer)
    await eventually(taken)
    await eventually(lambda: len(told) == 1)
    assert told[0] is not None
    assert set(refusals) <= {KafkaError._FATAL}
    producer.close(10)
    assert told[1:] == [None]
