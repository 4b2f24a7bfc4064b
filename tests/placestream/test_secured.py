"""A whole installation whose Kafka and Redis want TLS, certificates, users and passwords."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr
from typer.testing import CliRunner

from contracts.kafka import client_config
from contracts.settings import Settings
from contracts.topics import create_topics
from online_features.redis_client import blocking_client_of
from placestream.cli import app
from placestream.stack.environment import environment
from placestream.stack.ports import LOCALHOST, free_port
from placestream.stack.redis import RedisServer
from placestream.stack.supervisor import Supervisor
from tests.certificates import Authority
from tests.secured import PASSWORD, USER, SecureKafka, server_tls
from tests.streams.links import Link, Links
from tests.streams.stream import assert_equals_recompute, interaction, send, wait_folded

EVENTS = 300


@pytest.fixture
def kafka_mechanism() -> str:
    """How Kafka asks for the password, where a test does not say."""
    return "SCRAM-SHA-512"


@pytest.fixture
def authority() -> Authority:
    """Whom all of this installation believe."""
    return Authority()


@pytest.fixture
def secure_kafka(
    tmp_path: Path, authority: Authority, kafka_mechanism: str
) -> Iterator[SecureKafka]:
    """A broker that asks for certificate and password."""
    with SecureKafka(tmp_path / "kafka", authority, kafka_mechanism, short_lived=True) as broker:
        yield broker


@pytest.fixture
def secure_redis(tmp_path: Path, authority: Authority) -> Iterator[int]:
    """Port of a Redis behind TLS, with one user, who may touch our keys alone.

    The redis-server that tests find may be built without TLS, so that a link before it speaks TLS
    in its place; what is tested is our clients.
    """
    with RedisServer(tmp_path / "redis", append_only="everysec") as server:
        link = Link(server.port, tls=server_tls(authority, tmp_path / "tls"))
        with server.client() as client, Links([link]):
            rules = ["on", f">{PASSWORD}", "~secured:*", "~{secured:*", "+@all"]
            client.execute_command(
                "ACL SETUSER", USER, *rules, "-@admin", "-@dangerous", "+client|tracking"
            )
            client.execute_command("ACL SETUSER", "default", "off")
            yield link.port


@pytest.fixture
def secured(
    secure_kafka: SecureKafka,
    secure_redis: int,
    authority: Authority,
    kafka_mechanism: str,
    tmp_path: Path,
) -> Settings:
    """Settings that know everything."""
    ca = authority.write(tmp_path)
    certificate, key = authority.issue("placestream").write(tmp_path, "placestream")
    return Settings.model_validate(
        {
            "kafka_bootstrap": secure_kafka.secure_bootstrap,
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_mechanism": kafka_mechanism,
            "kafka_username": USER,
            "kafka_password": PASSWORD,
            "kafka_ca_file": ca,
            "kafka_certificate_file": certificate,
            "kafka_key_file": key,
            "redis_url": f"rediss://{USER}:{PASSWORD}@{LOCALHOST}:{secure_redis}/0",
            "redis_ca_file": ca,
            "redis_certificate_file": certificate,
            "redis_key_file": key,
            "partitions": 2,
            "key_prefix": "secured",
            "archive_dir": tmp_path / "archive",
            "archive_flush_s": 1,
            "models_dir": tmp_path / "models",
            "model_config_file": tmp_path / "models" / "models.config",
            "model_server": f"{LOCALHOST}:{free_port()}",
            "serve_port": free_port(),
            "serve_metrics_port": 0,
            "stream_metrics_port": free_port(),
            "retrain_metrics_port": 0,
            "log_level": "DEBUG",
        }
    )


def until_says(log: Path, *words: str) -> None:
    """Wait until a log has a line with all of these words."""
    deadline_s = time.monotonic() + 90
    while not any(all(word in line for word in words) for line in log.read_text().splitlines()):
        assert time.monotonic() < deadline_s, f"{log} does not say {words}"
        time.sleep(0.1)


@pytest.mark.parametrize(
    # With PLAIN the password is in what a library sends, and so may be in what it logs.
    "kafka_mechanism",
    ["PLAIN", pytest.param("SCRAM-SHA-512", marks=pytest.mark.slow)],
)
def test_every_role_and_command_gets_in(
    secured: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Producers, admins and consumers of librdkafka, Faust's aiokafka, both kinds of Redis client;
    and what they log, with every library at DEBUG, holds no password."""
    create_topics(AdminClient(client_config(secured)), secured.topics.all(), replication=1)
    rng = np.random.default_rng(5)
    events = [interaction(rng, number, time.time()) for number in range(EVENTS)]
    send(
        secured,
        secured.topics.interactions.name,
        [(str(event["user_id"]), msgspec.json.encode(event)) for event in events],
    )
    with Supervisor(tmp_path / "run", environment(secured)) as supervisor:
        logs = {role: supervisor.start(role).log_file for role in ("stream", "serve", "retrain")}
        with blocking_client_of(secured) as client:
            wait_folded(client, secured, EVENTS)
            assert_equals_recompute(client, secured)
        for part in ("part=Redis", "part=Kafka", "part=catalogue"):
            until_says(logs["serve"], "part_answers", part)
        until_says(logs["serve"], "redis_changes_heard")
        until_says(logs["retrain"], "waiting", "model server")
    text = "".join(log.read_text() for log in logs.values())
    assert "[debug" in text.lower()  # they do talk
    assert PASSWORD not in text
    for name, value in environment(secured).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    for command in (["replay"], ["dlq", "list"]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output


def test_who_lacks_anything_stays_outside(secured: Settings) -> None:
    """The wrong password, no certificate, another authority: each alone is enough."""
    AdminClient(client_config(secured)).list_topics(timeout=30)
    stranger = SecretStr("wrong")
    no_certificate = {"kafka_certificate_file": None, "kafka_key_file": None}
    for lacking in ({"kafka_password": stranger}, no_certificate, {"kafka_ca_file": None}):
        config = client_config(secured.model_copy(update=lacking))
        with pytest.raises(KafkaException):
            AdminClient(config | {"log_level": 0}).list_topics(timeout=5)
    url = secured.redis_url.get_secret_value()
    for lacking in (
        {"redis_url": SecretStr(url.replace(PASSWORD, "wrong"))},
        {"redis_certificate_file": None, "redis_key_file": None},
        {"redis_ca_file": None},
    ):
        with (
            pytest.raises(redis.RedisError),
            blocking_client_of(secured.model_copy(update=lacking)) as client,
        ):
            client.ping()
