"""The producer in the background, on a real Kafka."""

import ctypes
import threading
from pathlib import Path

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from contracts.settings import Settings
from contracts.topics import Topics
from inference import producing
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


class Sending:
    """What becomes of messages that one producer is handed."""

    def __init__(self, settings: Settings, topics: Topics) -> None:
        self.producer = BackgroundProducer(settings, "test", {"linger.ms": 2_000})
        self.told: list[KafkaError | None] = []
        self._topic = topics.impressions.name

    def refusal(self) -> int | None:
        """Hand over another message; why it is not taken, None where it is."""
        try:
            self.producer.produce(self._topic, b"{}", "u", lambda error, _: self.told.append(error))
        except KafkaException as error:
            return int(error.args[0].code())
        return None

    def taken(self) -> bool:
        """Whether another message is."""
        return self.refusal() is None


@pytest.fixture
def sending(settings: Settings, topics: Topics) -> Sending:
    """Closed by the test."""
    return Sending(settings, topics)


async def test_one_that_can_send_no_more_is_replaced(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else every event would be refused until a restart; what it held is reported as lost.

    Also where the first try to make another fails, as for want of a file.
    """
    monkeypatch.setattr(producing, "PAUSE_S", 0.05)
    make, tried = sending.producer._new, []

    def made() -> Producer:
        tried.append(1)
        if len(tried) == 1:
            raise KafkaException(KafkaError(KafkaError._INVALID_ARG))
        return make()

    monkeypatch.setattr(sending.producer, "_new", made)
    assert sending.taken()
    end(sending.producer._producer)
    await eventually(sending.taken)
    assert len(tried) == 2
    assert [error is None for error in sending.told] == [False]
    sending.producer.close(10)
    assert sending.told[1:] == [None]


async def test_producers_that_end_at_once_follow_each_other_slowly(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that may not send, for want of a right, would be made anew without end."""
    monkeypatch.setattr(producing, "PAUSE_S", 3_600.0)
    assert sending.taken()
    ended = sending.producer._producer
    end(ended)
    await eventually(lambda: len(sending.told) == 1)  # though there is no other yet
    assert sending.refusal() == KafkaError._FATAL
    assert sending.producer._producer is ended
    sending.producer.close(10)  # does not wait for another


def test_one_that_ends_while_it_is_closed_is_closed_all_the_same(sending: Sending) -> None:
    """A service that stops says so by its exit code; what was not sent is reported."""
    assert all(sending.taken() for _ in range(20))
    sending.producer._stop.set()
    sending.producer._poller.join()
    end(sending.producer._producer)
    sending.producer.close(10)
    assert len(sending.told) == 20
    assert all(error is not None for error in sending.told)
