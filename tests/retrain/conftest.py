"""What the trainer's tests share: Redis, and an outbox that remembers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import redis
from msgspec import Struct

from contracts.events import RetrainRequested, RolloutStep
from contracts.settings import Settings
from contracts.topics import Topic
from placestream.stack.ports import LOCALHOST, free_port
from retrain.publish import NotPublished
from tests.retrain.drifting import LEAST, MOST

if TYPE_CHECKING:
    from tests.retrain.bench import Bench


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


@pytest.fixture
def bench(settings: Settings, client: redis.Redis, outbox: Remembering) -> "Iterator[Bench]":
    """Version 1 in service; canaries of a day and 1,000 users."""
    # TensorFlow takes seconds to load, and most tests here do without.
    from inference.model_server.server import ModelServer
    from retrain.rollout import activate
    from tests.retrain.bench import Bench
    from tests.retrain.tiny_models import export

    quick = settings.model_copy(
        update={
            "model_poll_s": 0.1,
            "model_server_rest_port": 0,
            "canary_min_s": 86_400.0,
            "canary_max_s": 10 * 86_400.0,
            "canary_min_users": 1_000,
            "canary_success_loss": 0.2,
        }
    )
    with ModelServer(quick, allow_version_labels_for_unavailable_models=False):
        export(quick, 1)
        activate(quick, 1, drain_s=0)
        yield Bench(quick, client, outbox)


@pytest.fixture
def two(settings: Settings) -> list[Settings]:
    """Settings of two servers of one installation."""
    return [
        settings.model_copy(
            update={
                "model_server": f"{LOCALHOST}:{free_port()}",
                "model_server_rest_port": 0,
                "model_poll_s": 0.1,
            }
        )
        for _ in range(2)
    ]


@pytest.fixture
def rollout(settings: Settings, two: list[Settings]) -> Settings:
    """Settings of who tells both."""
    target = "ipv4:" + ",".join(one.model_server for one in two)
    return settings.model_copy(update={"model_server": target})


@pytest.fixture
def serving(two: list[Settings]) -> Iterator[list[Settings]]:
    """Both, running."""
    from inference.model_server.server import ModelServer

    with ModelServer(two[0]), ModelServer(two[1]):
        yield two


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Windows that a test can fill."""
    return settings.model_copy(
        update={
            "drift_window_answers": MOST,
            "drift_min_answers": LEAST,
            "outcome_min_choices": LEAST // 2,
            # A second cause of a test is not to wait an hour.
            "retrain_cooldown_s": 0,
        }
    )
