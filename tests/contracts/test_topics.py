"""Topics: declared in code, created once, never with another number of partitions."""

import re

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from contracts.kafka import client_config
from contracts.settings import Settings
from contracts.topics import Topics, create_topics


def test_names_have_one_prefix_and_a_version() -> None:
    """In lower case, with dots, so that installations can share a cluster."""
    names = [topic.name for topic in Topics(prefix="acme").all()]
    assert len(names) == len(set(names))
    for name in names:
        assert name == name.lower()
        assert name.startswith("acme.")
        assert re.fullmatch(r"v\d+", name.removesuffix(".dlq").rpartition(".")[2])


def test_keyed_topics_share_their_partitions() -> None:
    """A user's state, a place's state and the re-keyed events are sharded alike."""
    topics = Topics(partitions=5)
    keyed = (
        topics.interactions,
        topics.place_updates,
        topics.places,
        topics.context,
        topics.by_place,
    )
    assert {topic.partitions for topic in keyed} == {5}
    assert {topics.retrain.partitions, topics.rollout.partitions} == {1}


def test_every_input_has_dead_letters() -> None:
    """Nothing is dropped in silence, and dead letters are kept for ever."""
    topics = Topics()
    names = {topic.name for topic in topics.all()}
    for topic in topics.inputs():
        assert topics.dlq(topic).name in names
        assert topics.dlq(topic).broker_config()["retention.ms"] == "-1"


def test_creating_twice_creates_once(settings: Settings) -> None:
    """Every role declares all topics at its start; the first one wins."""
    admin = AdminClient(client_config(settings))
    topics = settings.topics
    wanted = {topic.name for topic in topics.all()}
    assert set(create_topics(admin, topics.all(), replication=1)) == wanted
    assert create_topics(admin, topics.all(), replication=1) == []
    admin.delete_topics(list(wanted))


def test_a_real_broker_keeps_topics_as_declared(settings: Settings, topics: Topics) -> None:
    """Partitions, retention, compaction and the clock, read back from Kafka."""
    admin = AdminClient(client_config(settings))
    known = admin.list_topics(timeout=10).topics
    for topic in topics.all():
        assert len(known[topic.name].partitions) == topic.partitions
        resource = ConfigResource(ResourceType.TOPIC, topic.name)
        kept = admin.describe_configs([resource])[resource].result(10)
        told = topic.broker_config()
        assert {name: kept[name].value for name in told} == told
    assert "compact" in topics.places.broker_config()["cleanup.policy"]


def test_another_number_of_partitions_is_refused(settings: Settings, topics: Topics) -> None:
    """State is sharded by partition, so a changed number would scatter it."""
    admin = AdminClient(client_config(settings))
    changed = Topics(prefix=topics.prefix, partitions=topics.partitions + 1)
    with pytest.raises(ValueError, match="PLACESTREAM_PARTITIONS"):
        create_topics(admin, changed.all(), replication=1)
