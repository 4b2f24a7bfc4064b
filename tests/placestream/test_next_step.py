"""What a command says when a server is away: what is wrong, and what to do next."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from confluent_kafka import KafkaError, KafkaException
from redis import exceptions as redis
from typer.testing import CliRunner

from contracts.kafka import silence
from placestream.cli import app
from placestream.client import CallFailed
from placestream.next_step import explained, next_step, of_service
from placestream.stack.ports import LOCALHOST, free_port

Run = Callable[..., Any]
AWAY = "PLACESTREAM_KAFKA_BOOTSTRAP", "PLACESTREAM_REDIS_URL", "placestream serve"
KAFKA, REDIS, SERVICE = AWAY


def caused_by(cause: BaseException) -> RuntimeError:
    """An error as commands raise it: their own words, from that of a client, from another."""
    outer, middle = RuntimeError("in words"), OSError("of a part")
    outer.__cause__, middle.__cause__ = middle, cause
    return outer


@pytest.mark.parametrize(
    ("cause", "step"),
    [
        (KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN)), KAFKA),
        (KafkaException(KafkaError(KafkaError._TRANSPORT)), KAFKA),
        (silence(), KAFKA),
        (KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)), "placestream stream"),
        (KafkaException(KafkaError(KafkaError._AUTHENTICATION)), "KAFKA_SECURITY_PROTOCOL"),
        (KafkaException(KafkaError(KafkaError.INVALID_RECORD)), "Kafka's log"),
        (redis.ConnectionError("refused"), REDIS),
        (redis.TimeoutError("slow"), REDIS),
        (redis.AuthenticationError("who?"), "user and password"),
        (redis.BusyLoadingError("loading"), "wait until"),
        (redis.OutOfMemoryError("full"), "Redis's log"),
        (CallFailed(grpc.StatusCode.UNAVAILABLE, "refused"), SERVICE),
        (CallFailed(grpc.StatusCode.UNAUTHENTICATED, "who?"), "PLACESTREAM_CLIENT_TOKEN"),
        (CallFailed(grpc.StatusCode.INTERNAL, "oh"), "service's log"),
    ],
)
def test_what_lies_beneath_tells_what_to_do(cause: BaseException, step: str) -> None:
    """However deep. To redis-py, what is refused is an error of connection too; not here."""
    assert step in next_step(caused_by(cause))
    words, _, advice = (explained(caused_by(cause)) or "").partition("\n")
    assert words == "in words"
    assert step in advice


def test_client_libraries_own_errors_are_put_in_words() -> None:
    """`KafkaError{...}` is for programs."""
    said = explained(KafkaException(KafkaError(KafkaError._TRANSPORT, "Broker transport failure")))
    assert said is not None
    assert said.startswith("Kafka: Broker transport failure\n")
    assert (explained(redis.ConnectionError("no route")) or "").startswith("Redis: no route\n")


def test_what_a_command_says_itself_stays_as_it_is() -> None:
    """With no server beneath, its message has the step in it; a fault of the code is none of it."""
    assert explained(ValueError("write YYYY-MM-DD")) == "write YYYY-MM-DD"
    assert explained(KeyError("oops")) is None


def test_every_status_has_a_step() -> None:
    """Also those that a service should never answer with."""
    assert all(map(of_service, grpc.StatusCode))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Runs a command line where nothing listens."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLACESTREAM_KAFKA_BOOTSTRAP", f"{LOCALHOST}:{free_port()}")
    monkeypatch.setenv("PLACESTREAM_REDIS_URL", f"redis://{LOCALHOST}:{free_port()}/0")
    monkeypatch.setenv("PLACESTREAM_SERVE_PORT", str(free_port()))
    root = logging.getLogger()
    before = (root.handlers, root.level)
    yield lambda *words: CliRunner().invoke(app, words)
    root.handlers, root.level = before
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("recommend --user 1 --lat 40 --lng -73", SERVICE),
        ("experiments list", REDIS),
        ("experiments show pair-1", REDIS),
        pytest.param("experiments stop pair-1", REDIS, marks=pytest.mark.slow),  # TensorFlow
        ("erase-user 1 --yes", REDIS),
        ("retrain --if-due", REDIS),
        ("rebuild --drop-old --yes", REDIS),
    ],
)
def test_commands_name_the_next_step(run: Run, line: str, step: str) -> None:
    """Where it cannot reach a server, with exit code 1 and no traceback."""
    _assert_says(run(*line.split()), step)


@pytest.mark.slow  # librdkafka takes its time before it gives up
@pytest.mark.parametrize(
    "line",
    [
        "audit 6f1c2a",
        "dlq list",
        "dlq show interactions:0:17",
        "dlq replay --yes",
        "skew",
        "rebuild",
        "retrain --now reason",
        "simulate --users 5 --places 5 --days 1",
    ],
)
def test_commands_without_kafka_name_the_next_step(
    run: Run, line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """And librdkafka says nothing of its own between."""
    _assert_says(run(*line.split()), KAFKA)
    if not line.startswith("simulate"):  # which waits for Kafka, and says so meanwhile
        assert "%3|" not in capfd.readouterr().err


def _assert_says(result: Any, step: str) -> None:
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    words, advice = result.stderr.splitlines()[-2:]
    assert words
    assert "KafkaError{" not in words
    assert step in advice
