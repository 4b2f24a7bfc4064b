"""People in dead letters: Kafka cannot take single ones out, so they are found and named.

A letter is there because something was wrong with it. Where nobody can read whose event it holds,
the id is looked for as it may stand in there, so a short one ("7") may be found where it means
something else: rather a letter too many than one too few.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import msgspec

from contracts.ids import canonical_id, id64
from contracts.settings import Settings
from placestream.dlq.letters import Letter, TopicName
from placestream.dlq.reader import DeadLetterReader, Unreadable
from streams.rekeyed import Rekeyed

#: Topics whose events are somebody's.
OF_PEOPLE = (TopicName.INTERACTIONS, TopicName.IMPRESSIONS, TopicName.BY_PLACE)


@dataclass
class Letters:
    """What was found in one topic.

    Attributes:
        ids: of letters that name them, oldest first.
        unread: letters of which nobody can read whose they are; searched for the ids' bytes.
        not_looked: why nobody looked; empty: somebody did.
    """

    ids: list[str] = field(default_factory=list)
    unread: int = 0
    not_looked: str = ""


def look(settings: Settings, user_ids: Sequence[str]) -> dict[TopicName, Letters]:
    """Go through all letters in Kafka that can hold somebody; by what they are letters of."""
    try:
        with DeadLetterReader(settings, OF_PEOPLE) as letters:
            return naming(letters, user_ids)
    except Unreadable as error:
        return {topic: Letters(not_looked=str(error)) for topic in OF_PEOPLE}


def naming(letters: Iterable[Letter], user_ids: Sequence[str]) -> dict[TopicName, Letters]:
    """Which of some letters name one of some people."""
    sought = _Sought.of(user_ids)
    found = {topic: Letters() for topic in OF_PEOPLE}
    for letter in letters:
        _note(letter, sought, found[letter.id.topic])
    return found


@dataclass(frozen=True)
class _Sought:
    """Some people, as letters may name them.

    Attributes:
        ids: canonical ids; by their bytes a key names them.
        hashes: by which interactions by place name them.
        forms: how id or hash stand in what cannot be read; JSON may escape what is not ASCII.
    """

    ids: frozenset[str]
    hashes: frozenset[int]
    forms: frozenset[bytes]

    @classmethod
    def of(cls, user_ids: Sequence[str]) -> Self:
        hashes = frozenset(map(id64, user_ids))
        texts = (form for u in user_ids for form in (u, json.dumps(u)[1:-1]))
        packed = (number.to_bytes(8, "little") for number in hashes)
        return cls(frozenset(user_ids), hashes, frozenset({*map(str.encode, texts), *packed}))


def _note(letter: Letter, sought: _Sought, found: Letters) -> None:
    key = letter.dead.key or b""
    theirs = _is_theirs(letter, sought)
    if theirs is None:
        found.unread += 1
        headers = (value or b"" for _, value in letter.dead.headers)
        held = b"\n".join((key, letter.dead.value or b"", *headers))
        theirs = any(form in held for form in sought.forms)
    if theirs or key.decode(errors="replace") in sought.ids:
        found.ids.append(str(letter.id))


def _is_theirs(letter: Letter, sought: _Sought) -> bool | None:
    """Whether a letter's event is of one of them; None: nobody can read whose it is."""
    value = letter.dead.value or b""
    try:
        if not letter.readable:
            return None
        if letter.id.topic is TopicName.BY_PLACE:
            return not sought.hashes.isdisjoint(Rekeyed.decode(value).rows["user"].tolist())
        said = msgspec.json.decode(value)
        return canonical_id(said["user_id"]) in sought.ids
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
