"""People in dead letters: found by what a letter says, or by its bytes where nobody can read it."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from contracts.ids import id64
from contracts.settings import Settings
from contracts.topics import Topics
from placestream.dlq.letters import TopicName
from placestream.erase.in_letters import Letters, look, naming
from placestream.erase.in_models import InModels
from placestream.erase.remains import remains
from streams.rekeyed import ROW, Rekeyed
from tests.placestream.dlq.putting_aside import dead, letter, put_aside, visit

PEOPLE = ["ann", "12345", "naïve"]


def by_place(*users: str) -> bytes:
    """What some people did, as it is sent on to the place."""
    rows = np.zeros(len(users), ROW)
    rows["user"] = [id64(user) for user in users]
    return Rekeyed(rows, ["ann"] * len(users)).encode()


def judged(value: bytes | None, of: TopicName = TopicName.INTERACTIONS, **more: Any) -> Letters:
    """What is said of one letter."""
    found = naming([letter(value, of, **{"key": b"bob"} | more)], PEOPLE)
    assert all(its == Letters() for topic, its in found.items() if topic is not of)
    return found[of]


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (visit(user_id="ann"), True),
        (visit(user_id=12345), True),
        (visit(user_id="12345"), True),
        (visit(user_id="bob", place_id="ann"), False),
        (visit(user_id=123456), False),
    ],
)
@pytest.mark.parametrize("of", [TopicName.INTERACTIONS, TopicName.IMPRESSIONS])
def test_who_can_be_read_is_read(value: bytes, names: bool, of: TopicName) -> None:
    """And nobody is taken for somebody else."""
    found = judged(value, of)
    assert (bool(found.ids), found.unread) == (names, 0)


def test_what_is_sent_on_to_places_names_people_by_their_hash() -> None:
    """There a place may be called like them."""
    assert judged(by_place("bob", "ann"), TopicName.BY_PLACE).ids
    assert judged(by_place("bob"), TopicName.BY_PLACE) == Letters()
    cut_off = judged(by_place("ann")[:-3], TopicName.BY_PLACE)
    assert (bool(cut_off.ids), cut_off.unread) == (True, 1)


@pytest.mark.parametrize(
    "value",
    [
        b'{"user_id":"ann","place_id":1,',
        b'[{"user_id":"ann"}]',
        b'{"user_id":"ann","context":{"location":{"lat":NaN}}}',
        b'{"event":{"user_id":"ann"}}',
        b'{"user_id":12345.0}',
        b'{"user_id":["ann"]}',
        b'{"user_id":"na\\u00efve"',
        '{"user_id":"naïve"'.encode(),
    ],
)
def test_where_nobody_can_read_it_the_bytes_are_searched(value: bytes) -> None:
    """Most letters are there because something was wrong with them."""
    found = judged(value)
    assert (len(found.ids), found.unread) == (1, 1)
    others = naming([letter(value, key=b"bob")], ["carol"])[TopicName.INTERACTIONS]
    assert (others.ids, others.unread) == ([], 1)


def test_a_key_or_a_header_names_them_too() -> None:
    """The key of a misplaced event is somebody else's; of a tombstone it is all there is."""
    assert judged(visit(user_id="bob"), key=b"ann").ids
    assert judged(None, key=b"ann").ids
    assert judged(b"{", headers=[("from", b"backend of ann"), ("empty", None)]).ids
    assert not judged(b"{", headers=[("from", None)]).ids


def test_every_topic_that_can_hold_a_person_is_read_and_named(
    settings: Settings, topics: Topics
) -> None:
    """All of them are kept for ever; what could not be read is said."""
    name = topics.interactions.name
    put_aside(settings, TopicName.INTERACTIONS, [dead(name, 0, visit(user_id="bob"), key=b"bob")])
    put_aside(settings, TopicName.INTERACTIONS, [b"no letter, but of ann", b"none"])
    put_aside(settings, TopicName.IMPRESSIONS, [dead("i", 0, visit(user_id="ann"))])
    put_aside(settings, TopicName.BY_PLACE, [dead("b", 0, by_place("bob"), key=None)])
    found = look(settings, ["ann"])
    assert {topic: (its.ids, its.unread) for topic, its in found.items()} == {
        TopicName.INTERACTIONS: (["interactions:0:1"], 2),
        TopicName.IMPRESSIONS: (["impressions:0:0"], 0),
        TopicName.BY_PLACE: ([], 0),
    }
    told = dict(remains(settings, datetime.now(UTC), found, InModels("", {}, (), 0)))
    first, second, third = (
        told[topics.dlq(t).name] for t in (topics.interactions, topics.impressions, topics.by_place)
    )
    assert "1 letters name them (2 letters" in first
    assert "the last one is interactions:0:1" in first
    assert "kept for ever: 1 letters name them, the last one is impressions:0:0" in second
    assert third == "no letter names them"
