"""The trainer on real Kafka and Redis, with a model server beside it and quick trainings."""

import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import confluent_kafka
import msgspec
import pytest
from prometheus_client import REGISTRY

from contracts.events import DeadLetter, RetrainRequested, RolloutStep, encode
from contracts.experiment import CANARY
from contracts.kafka import client_config, consumer_config
from contracts.settings import Settings
from contracts.topics import Topic, Topics
from inference.model_server.server import ModelServer
from placestream.stack.environment import environment
from placestream.stack.ports import LOCALHOST, free_port
from retrain import daemon as daemon_module
from retrain.child import Trainer
from retrain.daemon import Requests, run
from retrain.model_config import DamagedConfig
from retrain.triggers import request_now
from tests.retrain import trainers
from tests.retrain.conftest import Remembering
from tests.retrain.tiny_models import answer, export

PATIENCE_S = 90
ROOT = Path(__file__).parents[2]


def wait_for(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


class Reader:
    """Reads a topic from its beginning."""

    def __init__(self, settings: Settings, topic: Topic) -> None:
        self._consumer = confluent_kafka.Consumer(consumer_config(settings, f"{topic.name}.test"))
        self._consumer.assign([confluent_kafka.TopicPartition(topic.name, 0, 0)])
        self.seen: list[bytes] = []

    def read(self) -> list[bytes]:
        message = self._consumer.poll(0.1)
        if message is not None and message.error() is None:
            value = message.value()
            assert value is not None
            self.seen.append(value)
        return self.seen

    def close(self) -> None:
        self._consumer.close()


class Steps:
    """What the rollout topic tells."""

    def __init__(self, settings: Settings, topics: Topics) -> None:
        self._reader = Reader(settings, topics.rollout)
        self.close = self._reader.close

    def of(self, audit_id: str) -> list[str]:
        steps = [msgspec.json.decode(value, type=RolloutStep) for value in self._reader.read()]
        return [step.step for step in steps if step.audit_id == audit_id]

    def wait_for(self, audit_id: str, step: str) -> None:
        wait_for(lambda: step in self.of(audit_id), f"{step} was not told")


def test_a_damaged_configuration_keeps_a_request_open(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in service cannot be read, and a person mends the file: the role lives, and the
    request is worked off then."""
    monkeypatch.setattr(daemon_module, "_RETRY_S", 0.01)
    monkeypatch.setattr(Requests, "_commit", lambda *_: ends.append("committed"))
    ends: list[str] = []

    class Work:
        def work(self, request: RetrainRequested) -> None:
            if not ends:
                ends.append("damaged")
                raise DamagedConfig("half a file")
            ends.append(request.audit_id)

    class Message:
        def value(self) -> bytes:
            at = datetime(2024, 1, 1, tzinfo=UTC)
            return encode(RetrainRequested("audit-1", "manual", at))

        def offset(self) -> int:
            return 0

    nowhere = settings.model_copy(update={"kafka_bootstrap": f"{LOCALHOST}:{free_port()}"})
    requests = Requests(nowhere, Remembering(), threading.Event())
    requests._handle(Message(), Work())  # type: ignore[arg-type]
    requests.close()
    assert ends == ["damaged", "audit-1", "committed"]


@pytest.fixture
def steps(settings: Settings, topics: Topics) -> Iterator[Steps]:
    opened = Steps(settings, topics)
    yield opened
    opened.close()


@pytest.fixture
def model_server(settings: Settings) -> Iterator[None]:
    with ModelServer(settings.model_copy(update={"model_poll_s": 0.1})):
        yield


@contextmanager
def daemon(settings: Settings, trainer: Trainer, *, direct: bool = True) -> Iterator[None]:
    """The trainer in a thread; its own end, if it dies, fails the test."""
    stop = threading.Event()
    died: list[BaseException] = []

    def body() -> None:
        try:
            asked = settings.model_copy(update={"rollout_direct": direct})
            run(asked, stop=stop, trainer=trainer, lease_s=2)
        except BaseException as error:
            died.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert died == []


def manual(settings: Settings) -> str:
    return request_now(settings, note="by hand")


@pytest.mark.usefixtures("model_server")
def test_a_hand_sent_request_leads_to_a_new_version_in_service(
    settings: Settings, steps: Steps
) -> None:
    """Twice, without a restart of anything; metrics tell of both."""
    with daemon(settings, trainers.exports):
        for version in (1, 2):
            export(settings, version)
            audit_id = manual(settings)
            steps.wait_for(audit_id, "promoted")
            assert steps.of(audit_id) == ["trained", "promoted"]
            assert answer(settings, "ranker", settings.model_label) == version
            assert answer(settings, "candidates", settings.model_label) == version
        port = settings.retrain_metrics_port
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
            text = page.read().decode()
    assert 'placestream_trainings_total{outcome="promoted"}' in text
    assert 'placestream_retrain_requests_total{reason="manual"}' in text


@pytest.mark.usefixtures("model_server")
def test_a_request_is_open_until_it_has_ended(settings: Settings) -> None:
    """While it trains, the time of the request is told; afterwards there is none."""
    name = "placestream_retrain_open_request_timestamp_seconds"
    before_s = time.time()
    with daemon(settings, trainers.waits_for_leave):
        manual(settings)
        wait_for(lambda: trainers.trainings(settings) == 1, "no training began")
        assert before_s < (REGISTRY.get_sample_value(name) or 0) < time.time()
        trainers.give_leave(settings)
        wait_for(lambda: REGISTRY.get_sample_value(name) == 0, "the request is still open")


@pytest.mark.usefixtures("model_server")
def test_a_second_pair_goes_on_trial_before_it_serves(settings: Settings, steps: Steps) -> None:
    """The first serves at once; the second stands beside it, and its event says so."""
    with daemon(settings, trainers.exports, direct=False):
        export(settings, 1)
        steps.wait_for(manual(settings), "promoted")
        export(settings, 2)
        audit_id = manual(settings)
        steps.wait_for(audit_id, "shadow")
        assert steps.of(audit_id) == ["trained", "shadow"]
        assert answer(settings, "ranker", settings.model_label) == 1
        assert answer(settings, "ranker", CANARY) == 2


@pytest.mark.usefixtures("model_server")
def test_a_request_that_cannot_be_read_is_kept_and_the_next_one_is_worked_off(
    settings: Settings, topics: Topics, steps: Steps
) -> None:
    """Broken JSON goes to the dead letters with its bytes; a failed training ends nothing."""
    producer = confluent_kafka.Producer({**client_config(settings)})
    producer.produce(topics.retrain.name, b"not JSON", key=b"k")
    assert producer.flush(30) == 0
    with daemon(settings, trainers.raises):
        audit_id = manual(settings)
        steps.wait_for(audit_id, "failed")
    letters = Reader(settings, topics.dlq(topics.retrain))
    wait_for(lambda: bool(letters.read()), "no dead letter")
    letters.close()
    letter = msgspec.json.decode(letters.seen[0], type=DeadLetter)
    assert (letter.topic, letter.offset) == (topics.retrain.name, 0)
    assert (letter.key, letter.value) == (b"k", b"not JSON")
    assert letter.reason.startswith("not valid JSON")


@pytest.mark.slow
@pytest.mark.usefixtures("model_server")
def test_a_trainer_killed_while_training_is_followed_by_one_that_completes(
    settings: Settings, steps: Steps
) -> None:
    """SIGKILL: the training dies with its daemon, and the same request ends in one promotion."""
    export(settings, 2)
    audit_id = manual(settings)
    pid_file = settings.models_dir / "pid"
    killed = subprocess.Popen(
        [sys.executable, "-m", "tests.retrain.run_daemon", "hangs_once_with_pid"],
        cwd=ROOT,
        env=os.environ | environment(settings),
    )
    try:
        wait_for(lambda: pid_file.exists() and pid_file.read_text() != "", "no training")
    finally:
        killed.kill()
        killed.wait()
    child = int(pid_file.read_text())
    wait_for(lambda: not alive(child), "the training outlived its daemon")
    with daemon(settings, trainers.hangs_once_with_pid):
        steps.wait_for(audit_id, "promoted")
    assert steps.of(audit_id) == ["trained", "promoted"]
    assert trainers.trainings(settings) == 2
    assert answer(settings, "ranker", settings.model_label) == 2


def alive(pid: int) -> bool:
    """Whether a process runs (one that ended and was not yet reaped does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_what_is_missing_is_waited_for(
    settings: Settings,
    steps: Steps,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without a model server the trainer says so and takes nothing up; it comes, work begins."""
    export(settings, 1)
    with daemon(settings, trainers.exports):
        audit_id = manual(settings)
        said: list[str] = []

        def named() -> bool:
            # To the terminal, or through logging, where another test has set that up.
            said.append(capfd.readouterr().out)
            told = "".join(said) + caplog.text
            return "the model server" in told and settings.model_server in told

        wait_for(named, "the log does not name the model server")
        assert steps.of(audit_id) == []
        with ModelServer(settings.model_copy(update={"model_poll_s": 0.1})):
            steps.wait_for(audit_id, "promoted")
