"""Several `stream` workers, each behind links of its own; who ends unasked is started again."""

import os
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from contracts.settings import Settings
from placestream.stack.child import Child
from placestream.stack.environment import environment
from placestream.stack.kafka import KafkaBroker
from placestream.stack.ports import LOCALHOST, free_port
from placestream.stack.redis import RedisServer
from placestream.stack.supervisor import placestream_command
from tests.streams.links import Link, Links

#: A worker that was asked to end and has not is killed after so long.
LEAVE_S = 15.0


class LinkedKafka(KafkaBroker):
    """Kafka with one listener more for each of some links, so that all traffic keeps to them."""

    def __init__(self, run_dir: Path, slots: int) -> None:
        super().__init__(run_dir, short_lived=True)
        self._behind = [free_port() for _ in range(slots)]
        self.links = [Link(port) for port in self._behind]
        # Java takes seconds to start, in which more goes wrong. The thread must outlive the
        # process (see `Child.spawn`).
        self._starter = ThreadPoolExecutor(1)

    def start_soon(self) -> Future[None]:
        """Start it, and do not wait."""
        return self._starter.submit(self.start)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._starter.shutdown()

    def _properties(self) -> str:
        plain, controller = f"PLAINTEXT://{self.bootstrap}", f"{LOCALHOST}:{self._controller_port}"
        listeners, advertised = [plain, f"CONTROLLER://{controller}"], [plain]
        protocols = ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"]
        for slot, (port, link) in enumerate(zip(self._behind, self.links, strict=True)):
            listeners.append(f"SLOT{slot}://{LOCALHOST}:{port}")
            advertised.append(f"SLOT{slot}://{LOCALHOST}:{link.port}")
            protocols.append(f"SLOT{slot}:PLAINTEXT")
        more = {
            "listeners": listeners,
            "advertised.listeners": advertised,
            "listener.security.protocol.map": protocols,
            "inter.broker.listener.name": ["PLAINTEXT"],
        }
        # Of two lines with one name, Java reads the last.
        return super()._properties() + "".join(
            f"{name}={','.join(values)}\n" for name, values in more.items()
        )


class OwnRedis(RedisServer):
    """Redis whose data a test may copy and put back."""

    @property
    def directory(self) -> Path:
        """Where its data lies."""
        return self._dir


@dataclass
class Slot:
    """A place for one worker.

    Attributes:
        wanted: whether a worker ought to run here.
        stopped: whether it is held by SIGSTOP.
        leave_by_s: when one that was asked to end is killed, on the monotonic clock.
        exits: how often a worker ended that nobody had asked to.
    """

    number: int
    kafka: Link
    redis: Link
    wanted: bool = False
    stopped: bool = False
    leave_by_s: float = 0.0
    exits: int = 0
    child: Child | None = field(default=None)

    @property
    def alive(self) -> bool:
        """Whether its process lives."""
        return self.child is not None and self.child.alive

    @property
    def working(self) -> bool:
        """Whether it lives, is wanted, and is not held."""
        return self.alive and self.wanted and not self.stopped

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        assert self.child is not None
        if self.alive:
            os.killpg(self.child.pid, number)


class Fleet:
    """Workers in slots. Call everything from the main thread (see `Child.spawn`)."""

    def __init__(
        self, settings: Settings, kafka: LinkedKafka, redis_server: RedisServer, run_dir: Path
    ) -> None:
        self._settings = settings
        self._run_dir = run_dir
        self.slots = [
            Slot(number, link, Link(redis_server.port)) for number, link in enumerate(kafka.links)
        ]

    def links(self) -> Links:
        """All links of all slots, to be entered."""
        return Links([link for slot in self.slots for link in (slot.kafka, slot.redis)])

    def start(self, slot: Slot) -> None:
        """Start a worker in a slot."""
        own = self._settings.model_copy(
            update={
                "kafka_bootstrap": f"{LOCALHOST}:{slot.kafka.port}",
                "redis_url": SecretStr(f"redis://{LOCALHOST}:{slot.redis.port}/0"),
                "stream_metrics_port": 0,
            }
        )
        name = f"stream-{slot.number}"
        slot.wanted, slot.stopped, slot.leave_by_s = True, False, 0.0
        slot.child = Child.spawn(
            name,
            placestream_command("stream"),
            self._run_dir / f"{name}.log",
            env={**os.environ, **environment(own)},
        )

    def leave(self, slot: Slot) -> None:
        """Ask a worker to end, and do not wait."""
        slot.wanted, slot.leave_by_s = False, time.monotonic() + LEAVE_S
        slot.signal(signal.SIGTERM)

    def kill(self, slot: Slot) -> None:
        """Kill a worker; `start` is then due."""
        assert slot.child is not None
        slot.wanted = False
        slot.child.kill()

    def tick(self) -> list[str]:
        """Restart who ended unasked, kill who does not leave; say what was done."""
        said = []
        for slot in self.slots:
            if slot.child is None:
                continue
            if slot.wanted and not slot.alive:
                slot.exits += 1
                said.append(f"worker {slot.number} ended by itself ({slot.child.exit_code})")
                slot.child.kill()
                self.start(slot)
            elif not slot.wanted and slot.alive and time.monotonic() > slot.leave_by_s:
                said.append(f"worker {slot.number} did not leave, killed")
                slot.child.kill()
        return said

    def stop(self, grace_s: float = LEAVE_S) -> list[int]:
        """End all; exit codes of those that ran until now."""
        running = [slot for slot in self.slots if slot.alive]
        for slot in running:
            self.leave(slot)
            slot.signal(signal.SIGCONT)
        return [slot.child.stop(grace_s) for slot in running if slot.child is not None]
