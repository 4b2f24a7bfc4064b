"""How every librdkafka client of placestream is configured."""

from confluent_kafka import KafkaError, KafkaException

from contracts.settings import Settings

Config = dict[str, str | int | float | bool]
#: For clients whose errors are raised: librdkafka would say them too, ten times a second.
QUIET: Config = {"log_level": 2}


def silence() -> KafkaException:
    """What librdkafka raises when Kafka does not answer in time, for those who wait themselves."""
    return KafkaException(KafkaError(KafkaError._TIMED_OUT))


def client_config(settings: Settings) -> Config:
    """Connection and security settings that producers, consumers and the admin share."""
    config: Config = {
        "bootstrap.servers": settings.kafka_bootstrap,
        "security.protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        config |= _tls(settings)
    if settings.kafka_security_protocol.startswith("SASL"):
        config |= {
            "sasl.mechanism": settings.kafka_sasl_mechanism,
            "sasl.username": settings.kafka_username,
            "sasl.password": settings.kafka_password.get_secret_value(),
        }
    return config


def _tls(settings: Settings) -> Config:
    """Whom to believe, and what to show; no CA: those that the machine believes."""
    files = {
        "ssl.ca.location": settings.kafka_ca_file,
        "ssl.certificate.location": settings.kafka_certificate_file,
        "ssl.key.location": settings.kafka_key_file,
    }
    config: Config = {name: str(path) for name, path in files.items() if path is not None}
    if password := settings.kafka_key_password.get_secret_value():
        config["ssl.key.password"] = password
    return config


def producer_config(settings: Settings) -> Config:
    """Idempotent, in order, partitioned as Java's and aiokafka's clients do.

    librdkafka's own default partitioner differs from Java's, and a user whose events land in
    two partitions would have two states.
    """
    return client_config(settings) | {
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "linger.ms": 5,
        "compression.type": "lz4",
    }


def consumer_config(settings: Settings, group: str) -> Config:
    """From the beginning, offsets stored by hand."""
    return client_config(settings) | {
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
