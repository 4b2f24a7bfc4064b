"""Brokers against numbers worked out by hand."""

import pytest

from placestream.capacity.kafka import brokers, kept
from placestream.capacity.load import Load
from placestream.capacity.redis_shards import GIB
from tests.placestream.capacity.test_sizing import constants


def test_topics_are_kept_as_long_as_they_are_declared() -> None:
    """Four weeks of interactions, five of their copies by place."""
    names = {topic.topic.name.split(".")[1]: topic.days for topic in kept(LOAD, constants())}
    assert names["interactions"] == 28
    assert names["interactions-by-place"] == 35
    assert names["impressions"] == 28


def test_answers_are_kept_too() -> None:
    """1,000 a second of 5,000 bytes for 28 days, three times."""
    per = constants(kafka_bytes_per_answer=5_000)
    found = brokers(Load(1, 1, 0, 1_000, mean_ratio=1.0), per)
    stored = 3 * 5e6 * 86_400 * 28 / 0.7 / GIB
    assert found.number * found.disk_gib == pytest.approx(stored)


def test_disks_by_hand() -> None:
    """100 and 10 bytes an event, half the busiest rate, three replicas, 70 % full."""
    per = constants(kafka_bytes_per_event=100, kafka_bytes_per_event_by_place=10)
    found = brokers(LOAD, per)
    stored = 3 * 1_000 * 0.5 * 86_400 * (28 * 100 + 35 * 10) / 0.7
    assert found.number == 3
    assert found.disk_gib == pytest.approx(stored / GIB / 3)


def test_brokers_by_what_they_take_in() -> None:
    """10^6 events/s of 150 bytes, three times: 450 MB/s; 60 MB/s to each of eight, one to spare."""
    per = constants(kafka_bytes_per_event=100, kafka_bytes_per_event_by_place=50)
    assert brokers(Load(1, 1, 1e6, 0), per).number == 9


LOAD = Load(1, 1, 1_000, 0, mean_ratio=0.5)
