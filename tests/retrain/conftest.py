"""What the trainer's tests share: Redis, and an outbox that remembers."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import redis
from msgspec import Struct

from contracts.events import RetrainRequested, RolloutStep
from contracts.settings import Settings
from contracts.topics import Topic
from retrain.publish import NotPublished


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    """A client of the test's Redis."""
    with redis.Redis.from_url(settings.redis_url.get_secret_value(), socket_timeout=5) as opened:
        yield opened


@dataclass
class Remembering:
    """An outbox that keeps what was sent, and refuses as often as it is told to."""

    sent: list[tuple[str, str, Struct]] = field(default_factory=list)
    refuse: int = 0

    def send(self, topic: Topic, key: str, event: Struct) -> None:
        if self.refuse:
            self.refuse -= 1
            raise NotPublished("told to refuse")
        self.sent.append((topic.name, key, event))

    @property
    def steps(self) -> list[RolloutStep]:
        return [event for _, _, event in self.sent if isinstance(event, RolloutStep)]

    @property
    def requests(self) -> list[RetrainRequested]:
        return [event for _, _, event in self.sent if isinstance(event, RetrainRequested)]


@pytest.fixture
def outbox() -> Remembering:
    """An outbox that remembers."""
    return Remembering()
