"""The servers of docker-compose.yml, started natively with the files and variables given there."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from contracts.settings import Settings
from contracts.topics import create_topics
from placestream.stack.child import Child
from placestream.stack.kafka_jars import ensure_jars, find_java
from placestream.stack.ports import free_port
from placestream.stack.redis import find_redis_server
from tests.docker.project import ROOT, environment, interpolated, services, without_secrets

PASSWORD = "a-Password_1"
SECRETS = {"REDIS_PASSWORD": PASSWORD}
START_S = 90


@pytest.fixture
def path_with_redis(tmp_path: Path) -> str:
    """A PATH on which redis-server and redis-cli are found, as in the image."""
    programs = tmp_path / "bin"
    programs.mkdir()
    server = find_redis_server()
    client = shutil.which("redis-cli") or str(Path(server).with_name("redis-cli"))
    (programs / "redis-server").symlink_to(server)
    (programs / "redis-cli").symlink_to(client)
    return f"{programs}:{os.environ['PATH']}"


class ComposedRedis:
    """Redis under the compose file's command, on paths and a port of the test."""

    def __init__(self, directory: Path, path: str) -> None:
        self.port = free_port()
        self.config = directory / "run" / "redis.conf"
        self.config.parent.mkdir()
        (directory / "data").mkdir()
        self._template = directory / "template.conf"
        text = (ROOT / "docker/redis/redis.conf").read_text()
        here = {"dir /data": f"dir {directory}/data", "port 6379": f"port {self.port}"}
        for ours, native in here.items():
            assert f"\n{ours}\n" in text
            text = text.replace(f"\n{ours}\n", f"\n{native}\n")
        self._template.write_text(text)
        self.env = without_secrets() | environment("redis", SECRETS) | {"PATH": path}
        self._log = directory / "redis.log"

    def start(self) -> Child:
        """Start it and wait until it answers."""
        shell, script, template, config = services()["redis"]["command"]
        assert (template, config) == ("/etc/redis/redis.conf", "/run/redis/redis.conf")
        assert "./docker/redis:/etc/redis:ro" in services()["redis"]["volumes"]
        program = str(ROOT / "docker/redis" / Path(script).name)
        command = [shell, program, str(self._template), str(self.config)]
        child = Child.spawn("redis", command, self._log, env=self.env)
        try:
            child.wait_ready(self._answers, START_S)
        except BaseException:
            child.kill()
            raise
        return child

    def _answers(self) -> bool:
        return self.health(self.env["REDIS_PASSWORD"]) == 0

    def health(self, password: str) -> int:
        """Exit code of the compose file's health check."""
        kind, command = services()["redis"]["healthcheck"]["test"]
        assert kind == "CMD-SHELL"
        here = interpolated(command, {}).replace("redis-cli ", f"redis-cli -p {self.port} ")
        env = self.env | {"REDIS_PASSWORD": password}
        probe = subprocess.run(["sh", "-c", here], env=env, capture_output=True, check=False)
        return probe.returncode

    def client(self, password: str | None = PASSWORD) -> redis.Redis:
        """A client."""
        return redis.Redis(port=self.port, password=password)


@pytest.fixture
def composed_redis(tmp_path: Path, path_with_redis: str) -> ComposedRedis:
    """Not started yet."""
    return ComposedRedis(tmp_path, path_with_redis)


def test_redis_is_a_store(composed_redis: ComposedRedis) -> None:
    """It keeps every write over a kill, evicts nothing, and asks for the password."""
    child = composed_redis.start()
    try:
        with composed_redis.client() as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            client.set("feature", "kept")
        stranger = composed_redis.client(password=None)
        with stranger, pytest.raises(redis.AuthenticationError):
            stranger.get("feature")
        assert composed_redis.health("wrong") != 0
    finally:
        child.kill()
    child = composed_redis.start()
    try:
        with composed_redis.client() as client:
            assert client.get("feature") == b"kept"
    finally:
        child.stop()


def test_redis_lets_go_of_who_does_not_read(composed_redis: ComposedRedis) -> None:
    """A frozen service, which hears of every change, must not fill the memory that states need."""
    child = composed_redis.start()
    key = "places:" + 100_000 * "x"
    try:
        with composed_redis.client() as client, composed_redis.client() as frozen:
            deaf = frozen.connection_pool.get_connection()
            deaf.send_command("CLIENT", "ID")
            its_id = str(deaf.read_response())
            deaf.send_command("HELLO", "3")
            deaf.read_response()
            deaf.send_command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "places:")
            deaf.read_response()
            for _ in range(2_000):  # 200 MB to tell it of
                client.set(key, "changed")
            assert its_id not in {listed["id"] for listed in client.client_list()}
            assert int(client.info("memory")["used_memory"]) < 128e6
    finally:
        child.stop()


def test_redis_password_is_not_shown(composed_redis: ComposedRedis) -> None:
    """The password is in no command line, and in a file that only its owner reads."""
    child = composed_redis.start()
    try:
        shown = [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])]
        assert any("redis-server" in line and str(composed_redis.port) in line for line in shown)
        assert not any(PASSWORD in line for line in shown)
        assert stat.S_IMODE(composed_redis.config.stat().st_mode) == 0o600
    finally:
        child.stop()


def test_redis_wants_a_password(tmp_path: Path) -> None:
    """Without one it does not start, and says which variable is missing."""
    command = ["sh", str(ROOT / "docker/redis/start.sh"), "template", str(tmp_path / "out")]
    answer = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert answer.returncode != 0
    assert "REDIS_PASSWORD" in answer.stderr


def kafka_environment(data: Path, ports: dict[str, int]) -> dict[str, str]:
    """The broker's variables, with this test's directory, ports and host."""
    env = environment("kafka", {})
    assert env["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"
    assert "kafka-data:/var/lib/kafka/data" in services()["kafka"]["volumes"]
    env["KAFKA_LOG_DIRS"] = str(data)
    for name, value in env.items():
        for ours, here in ports.items():
            value = value.replace(f":{ours}", f":{here}")
        env[name] = value.replace("//kafka:", "//localhost:")
    return env


@pytest.fixture(scope="module")
def composed_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a broker set up by the image's own set-up program.

    `kafka.docker.KafkaDockerWrapper` comes with Kafka's jars; the image's start script calls it to
    make server.properties out of the environment and to format the storage, then starts
    kafka.Kafka with that file.
    """
    root = tmp_path_factory.mktemp("kafka")
    final = root / "config"
    final.mkdir()
    ports = {port: free_port() for port in ("9092", "9093", "9094")}
    env = without_secrets() | kafka_environment(root / "data", ports)
    # Smaller than in the compose file, for a machine that runs other tests too.
    java = [find_java(), "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{ensure_jars()}/*"]
    folders = ["--default-configs-dir", root, "--mounted-configs-dir", root / "none"]
    setup = [*java, "kafka.docker.KafkaDockerWrapper", "setup", *folders]
    setup += ["--final-configs-dir", final]
    log = root / "kafka.log"
    (final / "server.properties").touch()
    Child.spawn("setup", [str(word) for word in setup], log, env=env).wait_done(START_S)
    start = [*java, "kafka.Kafka", str(final / "server.properties")]
    child = Child.spawn("kafka", start, log, env=env)
    address = f"localhost:{ports['9094']}"
    try:
        child.wait_ready(lambda: broker_answers(address), START_S)
        yield address
    finally:
        child.stop()


def broker_answers(address: str) -> bool:
    """Whether a broker tells of itself."""
    try:
        admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
        return len(admin.list_topics(timeout=2).brokers) == 1
    except KafkaException:
        return False


def test_kafka_takes_its_variables(composed_kafka: str) -> None:
    """The broker starts from them, and makes our topics only when they are declared."""
    settings = Settings(kafka_bootstrap=composed_kafka, topic_prefix="composed", partitions=2)
    admin = AdminClient({"bootstrap.servers": composed_kafka})
    admin.list_topics("composed.mistyped", timeout=10)  # asking is what makes a topic, if allowed
    assert "composed.mistyped" not in admin.list_topics(timeout=10).topics
    created = create_topics(admin, settings.topics.all(), replication=1)
    assert set(created) == {topic.name for topic in settings.topics.all()}


def test_kafka_speaks_to_the_outside_by_the_advertised_name(composed_kafka: str) -> None:
    """Who comes in by the published port is told to stay on it."""
    admin = AdminClient({"bootstrap.servers": composed_kafka})
    (broker,) = admin.list_topics(timeout=10).brokers.values()
    assert f"{broker.host}:{broker.port}" == composed_kafka
