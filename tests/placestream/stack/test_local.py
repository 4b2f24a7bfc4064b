"""The whole stack on this machine (with the broker in memory: real Kafka has tests of its own)."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from contracts.kafka import client_config, producer_config
from contracts.settings import Settings
from placestream.stack.child import Child
from placestream.stack.kafka import KafkaBroker
from placestream.stack.local import AlreadyRunning, LocalStack
from placestream.stack.supervisor import ChildDied

#: What a developer may have in the environment: none of it may lead out of this machine.
ELSEWHERE = Settings(
    _env_file=None,
    kafka_bootstrap="kafka.example:9092",
    kafka_security_protocol="SASL_SSL",
    redis_url=SecretStr("redis://cache.example"),
    redis_cluster=True,
    models_base_path=Path("/models"),
    serve_host="0.0.0.0",
    topic_prefix="mine",
    partitions=3,
    seed=99,
)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    """Servers that run, no roles."""
    with LocalStack(tmp_path / "run", "mock", aof=True, base=ELSEWHERE) as stack:
        stack.start_servers()
        yield stack


def test_settings_lead_to_this_stack_and_keep_the_rest(stack: LocalStack) -> None:
    """Where things are is the stack's; how they behave is the user's."""
    settings = stack.settings
    assert (settings.topic_prefix, settings.partitions, settings.seed) == ("mine", 3, 99)
    assert settings.kafka_security_protocol == "PLAINTEXT"
    assert settings.serve_host == "127.0.0.1"
    assert settings.redis_url.get_secret_value() == stack.redis.url
    assert not settings.redis_cluster
    assert settings.models_base_path is None
    for path in (settings.archive_dir, settings.models_dir, settings.model_config_file):
        assert path.is_relative_to(stack.run_dir)
    ports = [
        settings.serve_port,
        settings.serve_metrics_port,
        settings.stream_metrics_port,
        settings.retrain_metrics_port,
        settings.model_server_rest_port,
        int(settings.model_server.rpartition(":")[2]),
        stack.redis.port,
    ]
    assert len(set(ports)) == len(ports)


def test_topics_are_there(stack: LocalStack) -> None:
    """With our partitions, though this broker cannot create any."""
    assert stack.create_topics() == []
    assert stack.settings.kafka_declares_topics is False
    known = AdminClient(client_config(stack.settings)).list_topics(timeout=10).topics
    assert {name: len(topic.partitions) for name, topic in known.items()} == {
        topic.name: topic.partitions for topic in stack.settings.topics.all()
    }
    producer = Producer(producer_config(stack.settings))
    producer.produce(stack.settings.topics.interactions.name, b"{}", key=b"1")
    assert producer.flush(20) == 0


def test_a_shell_can_join(stack: LocalStack) -> None:
    """`. run/env` and every `placestream` command talks to this stack."""
    script = f". {stack.run_dir / 'env'}; {sys.executable} -m placestream settings --json"
    answer = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert f'"{stack.settings.kafka_bootstrap}"' in answer.stdout


def test_a_server_that_dies_is_noticed(stack: LocalStack) -> None:
    """Redis gone is as bad as a role gone."""
    stack.check()
    stack.redis.kill()
    with pytest.raises(ChildDied, match="redis was ended by SIGKILL"):
        stack.check()


def test_a_server_killed_on_purpose_can_come_back(stack: LocalStack) -> None:
    """As a test of crashes does it; the new process is watched again."""
    with stack.redis.client() as client:
        client.set("a", "1")
        stack.kill_server(stack.redis)
        stack.check()
        stack.restart_server(stack.redis)
        assert client.get("a") == b"1"
    stack.redis.kill()
    with pytest.raises(ChildDied, match="redis"):
        stack.check()


def test_a_directory_has_one_stack(stack: LocalStack) -> None:
    """Two would write over each other."""
    with (
        LocalStack(stack.run_dir, "mock", base=ELSEWHERE) as second,
        pytest.raises(AlreadyRunning, match="another stack runs in"),
    ):
        second.start_servers()


def test_data_is_there_the_next_time(tmp_path: Path) -> None:
    """Redis and the directory, over a clean stop."""
    for expected in (None, b"1"):
        with LocalStack(tmp_path, "mock", base=ELSEWHERE) as stack:
            stack.start_servers()
            with stack.redis.client() as client:
                assert client.get("a") == expected
                client.set("a", "1")


def test_everything_has_ended_when_the_block_is_left(tmp_path: Path) -> None:
    """Also when it is left by an error."""
    children: list[Child] = []

    def fail_inside() -> None:
        with LocalStack(tmp_path, "mock", base=ELSEWHERE) as stack:
            stack.start_servers()
            children.extend([*stack.redis.children, *stack.broker.children])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert [child.alive for child in children] == [False, False]


def test_settings_before_the_servers_are_an_error(tmp_path: Path) -> None:
    """They are not known yet, and a guess would lead elsewhere."""
    with pytest.raises(RuntimeError, match="start_servers"):
        _ = LocalStack(tmp_path, "mock", base=ELSEWHERE).settings


def test_real_kafka_is_stopped_with_the_rest(tmp_path: Path) -> None:
    """The default on a machine that can run it, with topics created and ports that differ."""
    with LocalStack(tmp_path, "auto", base=ELSEWHERE) as stack:
        stack.start_servers()
        assert isinstance(stack.broker, KafkaBroker)
        created = stack.create_topics()
        assert set(created) == {topic.name for topic in stack.settings.topics.all()}
        (child,) = stack.broker.children
    assert not child.alive


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_up_ends_everything_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    """The exit code is a shell's for that signal, and no process is left."""
    command = [sys.executable, "-m", "placestream", "up", "--broker", "mock", "--roles", ""]
    process = psutil.Popen(
        [*command, "--dir", str(tmp_path / "up")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    )
    printed = ""
    while "Ctrl-C" not in printed:
        line = process.stdout.readline()
        assert line, printed
        printed += line
    children = process.children(recursive=True)
    assert len(children) == 2
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, printed + rest
    assert not [child for child in children if child.is_running()]
