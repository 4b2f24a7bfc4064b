"""What was replayed: notes in Redis, one for each event."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import redis

from online_features.keys import Keys
from placestream.dlq.letters import Letter


class NotNoted(RuntimeError):
    """Redis cannot be asked, or told, what was replayed."""


class Notes:
    """What was replayed, by the position of the event: one field in a hash for each, for good.

    They hold some 110 bytes a letter. Should Redis be lost, they are lost with it.
    """

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._redis = client
        self._keys = keys

    def of(self, letters: Sequence[Letter]) -> list[str | None]:
        """When, and as which letter, each event was replayed.

        Raises:
            NotNoted: Redis does not answer.
        """
        with _named_errors("Redis does not say what was replayed"):
            pipe = self._redis.pipeline(transaction=False)
            for letter in letters:
                pipe.hget(self._keys.replayed(letter.id.topic), letter.origin)
            found: list[Any] = pipe.execute()
        return [None if note is None else note.decode() for note in found]

    def note(self, letters: Sequence[Letter], now_s: float) -> None:
        """Remember letters as replayed.

        Raises:
            NotNoted: Redis does not answer; names the letters.
        """
        names = " ".join(str(letter.id) for letter in letters)
        at = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds")
        with _named_errors(f"sent, but not noted as replayed: {names}"):
            pipe = self._redis.pipeline(transaction=False)
            for letter in letters:
                key = self._keys.replayed(letter.id.topic)
                pipe.hset(key, letter.origin, f"{at} as {letter.id}")
            pipe.execute()


@contextmanager
def _named_errors(what: str) -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise NotNoted(f"{what}: {error}") from error
