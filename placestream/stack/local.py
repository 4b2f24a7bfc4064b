"""The whole of placestream on this machine: broker, Redis and the roles."""

import fcntl
from pathlib import Path
from typing import Self, TextIO

import structlog
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from contracts.kafka import client_config
from contracts.settings import Settings
from contracts.topics import create_topics
from placestream.console.address import token_of
from placestream.stack.broker import Broker, BrokerKind, choose_broker
from placestream.stack.child import Child
from placestream.stack.environment import environment, write_shell_file
from placestream.stack.kafka import KafkaBroker
from placestream.stack.ports import LOCALHOST, free_port
from placestream.stack.readiness import role_is_ready
from placestream.stack.redis import RedisServer
from placestream.stack.signals import ending_counted
from placestream.stack.supervisor import Supervisor

log = structlog.get_logger(__name__)


class AlreadyRunning(RuntimeError):
    """Another stack runs in this directory."""


class LocalStack:
    """Servers and roles in one directory, all ended when the `with` block is left.

    ::

        with LocalStack(Path("var/up")) as stack:
            stack.start_servers()
            stack.create_topics()
            stack.start_role("stream")
    """

    def __init__(
        self,
        run_dir: Path,
        broker: BrokerKind = "auto",
        aof: bool = False,
        *,
        base: Settings | None = None,
        usual_ports: bool = False,
    ) -> None:
        """Plan a stack; nothing is started yet.

        Args:
            run_dir: where data, models and logs go; made if need be, found again next time.
            broker: which broker, see `choose_broker`.
            aof: whether Redis survives a kill.
            base: settings to start from; those that say where things are get replaced.
            usual_ports: for a stack that people work with for hours: take the ports that `base`
                names where they are free. Else any free ports, and the quickest start.
        """
        self._run_dir = run_dir.resolve()
        self._broker_kind = broker
        self._base = base if base is not None else Settings()
        self._usual_ports = usual_ports
        self._redis = RedisServer(
            self._run_dir / "redis",
            port=free_port(6379) if usual_ports else 0,
            append_only="everysec" if aof else "off",
        )
        self._broker: Broker | None = None
        self._settings: Settings | None = None
        self._supervisor: Supervisor | None = None
        self._lock: TextIO | None = None

    @property
    def run_dir(self) -> Path:
        """Where everything of this stack lies."""
        return self._run_dir

    @property
    def settings(self) -> Settings:
        """Complete settings for every role, known once the servers run."""
        if self._settings is None:
            raise RuntimeError("start_servers() comes first")
        return self._settings

    @property
    def broker(self) -> Broker:
        """The broker, known once the servers run."""
        if self._broker is None:
            raise RuntimeError("start_servers() comes first")
        return self._broker

    @property
    def redis(self) -> RedisServer:
        """The Redis server."""
        return self._redis

    @property
    def supervisor(self) -> Supervisor:
        """What holds the roles, known once the servers run."""
        if self._supervisor is None:
            raise RuntimeError("start_servers() comes first")
        return self._supervisor

    def start_servers(self) -> None:
        """Start Redis and the broker, and fix the settings.

        Raises:
            AlreadyRunning: another stack runs in this directory.
            KafkaUnavailable, RedisUnavailable, StartError: a server cannot run here.
        """
        self._take_directory()
        self._redis.start()
        topics = self._base.topics.all()
        self._broker = choose_broker(
            self._broker_kind,
            self._run_dir / "kafka",
            topics,
            port=self._port(9092),
            short_lived=not self._usual_ports,
        )
        self._broker.start()
        self._settings = self._complete(self._broker)
        write_shell_file(self._settings, self._run_dir / "env")
        self._supervisor = Supervisor(self._run_dir / "logs", environment(self._settings))
        self._watch(self._redis)
        self._watch(self._broker)

    def create_topics(self) -> list[str]:
        """Create the topics that are missing; return their names.

        A broker that cannot create topics was started with them.
        """
        if not self.broker.declares_topics:
            return []
        admin = AdminClient(client_config(self.settings))
        topics = self.settings.topics.all()
        return create_topics(admin, topics, replication=self.settings.replication)

    def start_role(self, role: str, *, timeout_s: float = 120, wait: bool = True) -> Child:
        """Start `stream`, `serve`, `model-server`, `retrain` or `console`.

        Args:
            role: the command's name.
            timeout_s: how long it may take to be ready.
            wait: whether to wait until it is.

        Raises:
            KeyError: no such role.
            StartError: it did not come up; holds the end of its log.
        """
        ready = role_is_ready(role, self.settings)
        return self.supervisor.start(role, ready=ready if wait else None, timeout_s=timeout_s)

    def stop_role(self, role: str, grace_s: float = 10) -> int:
        """End one role cleanly; return its exit code."""
        return self.supervisor.stop_role(role, grace_s)

    def kill_role(self, role: str) -> None:
        """Kill one role with SIGKILL, as a crash would."""
        self.supervisor.kill_role(role)

    def kill_server(self, server: RedisServer | KafkaBroker) -> None:
        """Kill Redis or Kafka with SIGKILL, as a crash would; `check()` takes it as meant."""
        for child in server.children:
            self.supervisor.unwatch(child)
        server.kill()

    def restart_server(self, server: RedisServer | KafkaBroker) -> None:
        """Start a server again on the same data and port, stopped cleanly first if it runs."""
        for child in server.children:
            self.supervisor.unwatch(child)
        server.restart()
        self._watch(server)

    def check(self) -> None:
        """Raise `ChildDied` if a process ended that nobody asked to."""
        self.supervisor.check()

    def stop(self) -> None:
        """End everything: roles, then the broker, then Redis. Data stays.

        A signal that comes meanwhile cuts short the grace of what still runs.
        """
        with ending_counted() as signals:
            if self._supervisor is not None:
                self._supervisor.stop()
            if self._broker is not None:
                self._broker.stop(hurry=lambda: signals() > 0)
            self._redis.stop(hurry=lambda: signals() > 0)
            if self._lock is not None:
                self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _take_directory(self) -> None:
        self._run_dir.mkdir(parents=True, exist_ok=True)
        lock = (self._run_dir / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise AlreadyRunning(f"another stack runs in {self._run_dir}") from None
        self._lock = lock  # held as long as it is open

    def _watch(self, server: Broker | RedisServer) -> None:
        for child in server.children:
            self.supervisor.watch(child)

    def _port(self, usual: int) -> int:
        return free_port(usual if self._usual_ports else 0)

    def _complete(self, broker: Broker) -> Settings:
        base, models = self._base, self._run_dir / "models"
        usual_model_port = int(base.model_server.rpartition(":")[2])
        places = {
            "kafka_bootstrap": broker.bootstrap,
            "kafka_security_protocol": "PLAINTEXT",
            **dict.fromkeys(("kafka_ca_file", "kafka_certificate_file", "kafka_key_file")),
            **dict.fromkeys(("redis_ca_file", "redis_certificate_file", "redis_key_file")),
            "kafka_declares_topics": broker.declares_topics,
            "replication": 1,
            "redis_url": SecretStr(self._redis.url),
            "redis_cluster": False,
            "archive_dir": self._run_dir / "archive",
            "models_dir": models,
            "models_base_path": None,
            "model_config_file": models / "models.config",
            "model_server": f"{LOCALHOST}:{self._port(usual_model_port)}",
            "model_server_rest_port": self._port(base.model_server_rest_port),
            "serve_host": LOCALHOST,
            # Nobody but this machine can reach it.
            "serve_tls_certificate": None,
            "serve_tls_key": None,
            "serve_tls_client_ca": None,
            "serve_clients_file": None,
            "client_ca_file": None,
            "serve_port": self._port(base.serve_port),
            "serve_metrics_port": self._port(base.serve_metrics_port),
            "stream_metrics_port": self._port(base.stream_metrics_port),
            "retrain_metrics_port": self._port(base.retrain_metrics_port),
            "console_host": LOCALHOST,
            "console_port": self._port(base.console_port),
            "console_token": SecretStr(token_of(base)),
            "console_metrics": "",
        }
        return base.model_copy(update=places)
