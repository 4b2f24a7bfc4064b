"""Which broker is chosen, and that the choice is explained."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from placestream.stack import broker
from placestream.stack.broker import choose_broker
from placestream.stack.kafka import KafkaBroker
from placestream.stack.kafka_jars import KafkaUnavailable
from placestream.stack.mock_kafka import MockKafka


def no_java() -> str:
    """Stand in for `find_java` on a machine without Java."""
    raise KafkaUnavailable("Java 17 or newer is needed (none is installed)")


def test_real_kafka_where_it_can_run(tmp_path: Path) -> None:
    """The tests need Java and the jars anyway."""
    with capture_logs() as logs:
        assert isinstance(choose_broker("auto", tmp_path, ()), KafkaBroker)
    assert [(line["event"], line["broker"]) for line in logs] == [("broker_chosen", "kafka")]


def test_the_one_in_memory_where_it_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason in the log."""
    monkeypatch.setattr(broker, "find_java", no_java)
    with capture_logs() as logs:
        assert isinstance(choose_broker("auto", tmp_path, ()), MockKafka)
    assert [(line["broker"], line["why"]) for line in logs] == [
        ("mock", "Java 17 or newer is needed (none is installed)")
    ]


def test_who_asks_for_kafka_gets_kafka_or_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never another broker in silence."""
    monkeypatch.setattr(broker, "find_java", no_java)
    with pytest.raises(KafkaUnavailable, match="Java 17"):
        choose_broker("kafka", tmp_path, ())


def test_who_asks_for_the_mock_gets_it(tmp_path: Path) -> None:
    """Also where Kafka could run."""
    assert isinstance(choose_broker("mock", tmp_path, ()), MockKafka)
