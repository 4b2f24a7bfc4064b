"""How librdkafka clients are configured."""

from pathlib import Path

import msgspec
from confluent_kafka import Consumer, Producer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from contracts.ids import partition_of
from contracts.kafka import client_config, consumer_config, producer_config
from contracts.settings import Settings
from contracts.topics import Topics


def test_credentials_go_only_where_sasl_is_on() -> None:
    """A plain connection carries no password."""
    password = SecretStr("hunter2")
    plain = Settings(_env_file=None, kafka_password=password)
    secure = Settings(
        _env_file=None,
        kafka_password=password,
        kafka_username="ann",
        kafka_security_protocol="SASL_SSL",
        kafka_ca_file=Path("ca.pem"),
    )
    assert "hunter2" not in client_config(plain).values()
    config = client_config(secure)
    assert (config["sasl.username"], config["sasl.password"]) == ("ann", "hunter2")
    assert config["ssl.ca.location"] == "ca.pem"


def test_certificates_go_only_where_tls_is_on(tmp_path: Path) -> None:
    """Each under the name that librdkafka has for it."""
    files = {"kafka_certificate_file": Path("c.pem"), "kafka_key_file": Path("k.pem")}
    secure = Settings(
        _env_file=None,
        kafka_security_protocol="SSL",
        kafka_key_password=SecretStr("hunter2"),
        **files,  # type: ignore[arg-type]
    )
    config = client_config(secure)
    assert config["ssl.certificate.location"] == "c.pem"
    assert config["ssl.key.location"] == "k.pem"
    assert config["ssl.key.password"] == "hunter2"
    assert "ssl.ca.location" not in config  # those that the machine believes
    plain = Settings(_env_file=None, kafka_key_password=SecretStr("hunter2"))
    assert not [name for name in client_config(plain) if name.startswith("ssl")]


@given(st.text(max_size=8), st.integers(1, 65_535))
def test_librdkafka_accepts_every_configuration(group: str, port: int) -> None:
    """It refuses unknown or contradictory settings when a client is made."""
    settings = Settings(_env_file=None, kafka_bootstrap=f"127.0.0.1:{port}")
    quiet = {"log_level": 0}
    Producer(producer_config(settings) | quiet)
    Consumer(consumer_config(settings, f"g{group}") | quiet).close()


def test_a_producer_sends_a_key_where_we_expect_it(settings: Settings, topics: Topics) -> None:
    """Partition by Kafka's murmur2, as `partition_of` computes it, on a real broker."""
    landed: dict[str, int] = {}
    producer = Producer(producer_config(settings))
    for key in ["1", "12345", "user-7", "çédille", "x" * 128]:

        def note(error: object, message: object, key: str = key) -> None:
            assert error is None
            landed[key] = message.partition()  # type: ignore[attr-defined]

        producer.produce(
            topics.interactions.name, msgspec.json.encode({}), key=key, on_delivery=note
        )
    assert producer.flush(20) == 0
    assert landed == {key: partition_of(key, settings.partitions) for key in landed}
    assert len(landed) == 5
