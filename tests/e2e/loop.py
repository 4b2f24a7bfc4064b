"""A running stack with a small city's history in it, and models that a request to retrain made."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import KafkaException
from rich.console import Console

from contracts.events import RolloutStep
from contracts.ids import canonical_id
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from placestream import ask
from placestream.following import Following
from placestream.request_retrain import request_retrain
from placestream.simulation.command import open_source, stream_history
from placestream.simulation.source import Source
from placestream.simulation.story import Story
from placestream.stack.local import LocalStack
from tests.streams.stream import read_topic

#: Far more than a training takes, for a machine that does other things as well.
TRAINING_S = 600


class Loop:
    """A running stack with a small city's history in it."""

    def __init__(self, stack: LocalStack, source: Source) -> None:
        self.stack = stack
        self.source = source
        self.address = f"127.0.0.1:{stack.settings.serve_port}"
        self.story: Story = source.story(time.time())

    def answer(self) -> pb.RecommendResponse:
        """What the service answers to the story's user at the story's spot."""
        user_id = canonical_id(self.story.user_id)
        question = ask.Question(user_id, self.story.lat, self.story.lng, explain=True)
        return ask.ask(self.address, question, 5_000)

    def processes(self) -> dict[str, int]:
        """Process id of each role."""
        roles = ("stream", "model-server", "retrain", "serve")
        return {role: self.stack.supervisor.child(role).process.pid for role in roles}

    def renewed(self, version: int) -> list[RolloutStep]:
        """Send a request to retrain by hand; wait until `version` is promoted; return its steps."""
        request_retrain(self.stack.settings, "end-to-end test")
        deadline = time.monotonic() + TRAINING_S
        while time.monotonic() < deadline:
            steps = self._steps()
            if any(step.step in ("rejected", "failed") for step in steps):
                raise AssertionError(f"not promoted: {steps}")
            if any(s.step == "promoted" and version in s.versions.values() for s in steps):
                return steps
            self.stack.check()
            time.sleep(0.5)
        raise AssertionError(f"version {version} was not promoted within {TRAINING_S} s")

    def _steps(self) -> list[RolloutStep]:
        """Steps of the rollout until now; none while the broker cannot say."""
        settings = self.stack.settings
        try:
            messages = read_topic(settings, settings.topics.rollout.name)
        except KafkaException:
            return []
        return [msgspec.json.decode(m.value or b"", type=RolloutStep) for m in messages]

    def follow(self) -> None:
        """Wait until the stream has folded and archived everything."""
        console = Console(file=io.StringIO())
        with self.stack.redis.client() as client:
            following = Following(self.stack.settings, client)
            try:
                following.wait(following.folded, "folded", console, self.stack.check)
                following.wait(following.archived, "archived", console, self.stack.check)
            finally:
                following.close()


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Loop]:
    """Real Kafka, real Redis, every role a process of its own, models by a retrain event.

    Args:
        folder: for all files.
        settings: beside those that make it small.
    """
    base = Settings(
        _env_file=None,
        archive_flush_s=2,
        train_epochs=4,
        partitions=4,
        # So little data and training vary; whether the gate holds is tested in tests/retrain.
        gate_auc_loss=0.3,
        gate_ndcg_loss=0.5,
        **settings,
    )
    with LocalStack(folder, "kafka", aof=True, base=base) as stack:
        stack.start_servers()
        stack.create_topics()
        stack.start_role("stream")
        source = open_source(ending_s=time.time(), seed=5, users=150, places=300, days=12)
        stream_history(stack.settings, source, console=Console(file=io.StringIO()))
        loop = Loop(stack, source)
        loop.follow()
        stack.start_role("model-server", wait=False)
        stack.start_role("retrain")
        loop.renewed(1)
        stack.start_role("serve")
        yield loop
