"""A small city on real parts with its console, and a real Chromium that looks at it."""

import io
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka.admin import AdminClient
from playwright.sync_api import Browser, Page
from prometheus_client import CollectorRegistry, Gauge, start_http_server
from pydantic import SecretStr
from rich.console import Console

from contracts.ids import canonical_id
from contracts.kafka import client_config
from contracts.settings import Settings
from contracts.topics import create_topics
from placestream.console.address import address
from placestream.simulation.command import open_source, stream_history
from placestream.simulation.source import Source
from placestream.stack.environment import environment
from placestream.stack.kafka import KafkaBroker
from placestream.stack.ports import LOCALHOST, free_port
from placestream.stack.readiness import role_is_ready
from placestream.stack.redis import RedisServer
from placestream.stack.supervisor import Supervisor
from retrain.drift_watch import EXEMPT
from retrain.model_config import Serving, write
from tests.chromium import chromium
from tests.inference.tiny_models import export

START_S = 120.0
PLACES = 250
#: A host name of this machine: over plain HTTP, browsers trust it less than `localhost`.
NAME = "console.test"
ROLES = ("stream", "model-server", "serve", "console")
#: PSI by column, as the trainer would show them: one steady, one to look at, one beyond the
#: threshold, and one that follows the sky.
PSI = {"distance_log_km": 0.02, "visits_here_log": 0.15, "user_gap_log": 0.31, EXEMPT[0]: 1.5}


@dataclass(frozen=True)
class Stack:
    """What runs.

    Attributes:
        settings: of all of it.
        roles: its processes.
        source: the city whose history went through it.
        user_id, lat, lng: a user with a history, and a spot that the user knows.
    """

    settings: Settings
    roles: Supervisor
    source: Source
    user_id: str
    lat: float
    lng: float

    def url(self, **scene: str) -> str:
        """Address of the console; with no scene that of the user at the spot."""
        usual = {"user": self.user_id, "lat": f"{self.lat:.5f}", "lng": f"{self.lng:.5f}"}
        return address(self.settings, scene=scene or usual)

    def start(self, *roles: str) -> None:
        """Start roles beside each other, and wait until all are ready."""
        for role in roles:
            self.roles.start(role)
        for role in roles:
            self.roles.child(role).wait_ready(role_is_ready(role, self.settings), START_S)

    def places_drawn(self) -> int:
        """How many places the console would draw now."""
        port = self.settings.console_port
        token = self.settings.console_token.get_secret_value()
        request = urllib.request.Request(
            f"http://{LOCALHOST}:{port}/api/places", headers={"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return len(json.load(answer)["ids"])
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it has read none yet
                return 0
            raise


@pytest.fixture(scope="module")
def drift_page() -> Iterator[str]:
    """The URL of a trainer's metrics, of which only the drift is there."""
    registry = CollectorRegistry()
    psi = Gauge("placestream_drift_psi_ratio", "As retrain's.", ["feature"], registry=registry)
    for feature, value in PSI.items():
        psi.labels(feature=feature).set(value)
    port = free_port()
    server, thread = start_http_server(port, LOCALHOST, registry)
    yield f"http://{LOCALHOST}:{port}/metrics"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def stack(
    kafka: KafkaBroker,
    redis_server: RedisServer,
    drift_page: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """Stream, models, service and console as processes of their own, on the shared servers."""
    settings = _settings(kafka, redis_server, drift_page, tmp_path_factory)
    for version, factor in ((1, 1.0), (2, -1.0)):
        export(settings.models_dir, version, factor)
    write(settings, Serving({settings.model_label: 1}))
    admin = AdminClient(client_config(settings))
    create_topics(admin, settings.topics.all(), replication=1)
    source = open_source(ending_s=time.time(), seed=5, users=60, places=PLACES, days=4)
    story = source.story(time.time())
    logs = tmp_path_factory.mktemp("logs")
    with Supervisor(logs, environment(settings)) as roles:
        stack = Stack(
            settings, roles, source, canonical_id(story.user_id), float(story.lat), float(story.lng)
        )
        stream_history(settings, source, console=Console(file=io.StringIO()))
        stack.start(*ROLES)
        # The stream publishes the places while it starts: a console that is ready has some of them.
        roles.child("console").wait_ready(lambda: stack.places_drawn() == PLACES, START_S)
        yield stack
    admin.delete_topics([topic.name for topic in settings.topics.all()])


def _settings(
    kafka: KafkaBroker,
    redis_server: RedisServer,
    drift_page: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Settings:
    run, root = uuid.uuid4().hex[:10], tmp_path_factory.mktemp("console")
    stream, serve = free_port(), free_port()
    pages = {
        "stream": f"http://{LOCALHOST}:{stream}/metrics",
        "serve": f"http://{LOCALHOST}:{serve}/metrics",
        "retrain": drift_page,
    }
    return Settings(
        _env_file=None,
        kafka_bootstrap=kafka.bootstrap,
        topic_prefix=f"test-{run}",
        partitions=2,
        redis_url=SecretStr(redis_server.url),
        key_prefix=f"t{run}",
        redis_timeout_ms=1_000,
        archive_dir=root / "archive",
        models_dir=root / "models",
        model_config_file=root / "models" / "models.config",
        model_server=f"{LOCALHOST}:{free_port()}",
        model_server_rest_port=free_port(),
        model_poll_s=0.1,
        serve_port=free_port(),
        # They run beside other tests on few cores.
        serve_deadline_ms=5_000,
        serve_patience_ms=10_000,
        serve_objective_ms=5_000,
        serve_metrics_port=serve,
        stream_metrics_port=stream,
        console_port=free_port(),
        console_name=NAME,
        console_token=SecretStr("open-sesame"),
        console_metrics=",".join(f"{role}={url}" for role, url in pages.items()),
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium of the system."""
    with chromium(f"--host-resolver-rules=MAP {NAME} {LOCALHOST}") as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on a wide screen, which must not meet an error of its own."""
    context = browser.new_context(viewport={"width": 1_280, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(30_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors
