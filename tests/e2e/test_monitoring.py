"""The whole stack, watched: a real Prometheus scrapes every role, and Alertmanager calls a webhook.

Rules and waits are the shipped ones in a hurry (tests/docker/faster.py says what that changes).
"""

import math
import os
import random
import shutil
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.model_server.metrics import PATH
from placestream.client import CallFailed, Client
from placestream.dashboards.boards import BOARDS
from placestream.metrics_table import MODULES, described
from retrain.experiments import Experiments
from retrain.keys import ControllerKeys
from retrain.lease import Lease
from retrain.model_config import MODELS
from tests.docker.faster import faster_query
from tests.docker.watching import Watching, until, watching
from tests.e2e.loop import Loop, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_500)]

#: A canary is judged on no fewer than a hundred users a side.
GUESTS = 300
#: Panels whose series this run cannot bring about; each says why it may be empty.
NOT_HERE = {
    "Calls by client": "the service asks nobody who they are",
    "Failed batches": "no batch fails",
    "Refused by the gate": "the gate refuses nothing",
    "Stopped for their data": "no check fails",
}
#: From a break or a mend to its notification, far more than it takes.
ARRIVES_S = 180.0


class Life:
    """Guests who ask, click, go, stay and rate, until it is closed; errors of the service too."""

    def __init__(self, loop: Loop) -> None:
        self._spot = pb.LatLng(lat=loop.story.lat, lng=loop.story.lng)
        self._client = Client(loop.address, timeout_s=3.0)
        self._random = random.Random(7)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="life")
        self._thread.start()

    def _run(self) -> None:
        turn = 0
        while not self._stop.wait(0.05):
            with suppress(CallFailed):  # what is broken in a test is felt here, too
                self._ask(turn)
            turn += 1

    def _ask(self, turn: int) -> None:
        asked = pb.RecommendRequest(user_id=f"guest{turn % GUESTS}", location=self._spot)
        if turn % 20 == 0:
            self._client.batch([asked, asked])
        answer = self._client.recommend(asked)
        if answer.places:
            self._client.feedback(self._did(asked.user_id, answer))

    def _did(self, user_id: str, answer: pb.RecommendResponse) -> list[pb.Interaction]:
        """A click on one place; half of the guests go there, and rate it."""
        place_id = self._random.choice(list(answer.places)[:5]).place_id
        did = [pb.Interaction(event_type=pb.EVENT_TYPE_CLICK)]
        if self._random.random() < 0.5:
            did.append(pb.Interaction(event_type=pb.EVENT_TYPE_VISIT, dwell_s=1_800))
            did.append(pb.Interaction(event_type=pb.EVENT_TYPE_RATE, rating=4.5))
        for event in did:
            event.user_id, event.place_id = user_id, place_id
            event.request_id = answer.request_id
        return did

    def close(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join()
        self._client.close()


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """A running stack whose windows are short, and whose trials begin soon and end never."""
    folder = tmp_path_factory.mktemp("monitoring")
    with running(
        folder,
        attribution_click_s=2,
        attribution_visit_s=5,
        outcome_min_choices=10,
        drift_min_answers=100,
        drift_window_answers=400,
        shadow_share=1.0,
        shadow_min_answers=200,
        canary_share=0.5,
        # No training while something is measured.
        psi_retrain=1_000,
        accuracy_retrain=0,
        serve_deadline_ms=2_000,
        serve_objective_ms=2_000,
    ) as loop:
        life = Life(loop)
        yield loop
        life.close()


@pytest.fixture(scope="module")
def pages(loop: Loop) -> dict[str, str]:
    """Address of each role's metrics; roles are named as Prometheus's jobs are."""
    settings = loop.stack.settings
    return {
        "stream": f"127.0.0.1:{settings.stream_metrics_port}",
        "serve": f"127.0.0.1:{settings.serve_metrics_port}",
        "retrain": f"127.0.0.1:{settings.retrain_metrics_port}",
        "model-server": f"127.0.0.1:{settings.model_server_rest_port}",
    }


@pytest.fixture(scope="module")
def watched(
    loop: Loop, pages: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watching]:
    """Prometheus and Alertmanager on that stack."""
    with watching(tmp_path_factory.mktemp("watching"), pages, every="1s") as servers:
        until(lambda: len(servers.query("up == 1")) == len(pages), "every role is scraped")
        yield servers


@pytest.mark.parametrize("role", MODULES)
def test_a_role_shows_what_the_table_says(pages: dict[str, str], role: str) -> None:
    """Every metric on the page of a running role is in docs/metrics.md, and the other way round."""
    path = PATH if role == "model-server" else "/metrics"
    with urllib.request.urlopen(f"http://{pages[role]}{path}", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    types = dict(line.split()[2:4] for line in lines if line.startswith("# TYPE "))
    own = {
        name: kind
        for name, kind in types.items()
        # The library adds when a counter began.
        if name.startswith(("placestream_", ":")) and not name.endswith("_created")
    }
    assert own == {one.name: one.type for one in described() if one.role == role}


def begin_trial(loop: Loop) -> None:
    """Hand the pair in service over once more, as version 2: it must be as good."""
    settings = loop.stack.settings
    for name in MODELS:
        models = settings.models_dir / name
        shutil.copytree(models / "1", models / ".2")
        (models / ".2").rename(models / "2")
    with loop.stack.redis.client() as client:
        lease = Lease(client, ControllerKeys(settings.key_prefix))
        experiments = Experiments(client, settings.key_prefix, lease)
        experiments.begin("the-same-again", 2, time.time(), settings.canary_share, {})


def test_every_query_of_the_dashboards_returns_series(loop: Loop, watched: Watching) -> None:
    """From a first pair to a canary, each query has a number at some time."""
    asked = {
        (board.title, panel.title, query.expr): query
        for board in BOARDS
        for panel in board.panels
        for query in panel.queries
    }
    for (_, title, expr), query in asked.items():
        if title in NOT_HERE:
            assert query.rare, title
            watched.query(faster_query(expr))
    missing = {one for one in asked if one[1] not in NOT_HERE}
    begin_trial(loop)
    deadline = time.monotonic() + 400
    while missing:
        for one in list(missing):
            samples = watched.query(faster_query(one[2]))
            if any(math.isfinite(float(sample["value"][1])) for sample in samples):
                missing.discard(one)
        assert time.monotonic() < deadline, missing
        loop.stack.check()
        time.sleep(1)


class Heard:
    """What arrives of an alert from now on; a slow machine may have raised it before."""

    def __init__(self, watched: Watching, alert: str, **labels: str) -> None:
        self._watched, self._alert, self._labels = watched, alert, labels
        self._before = {status: len(self._all(status)) for status in ("firing", "resolved")}

    def _all(self, status: str) -> list[dict[str, Any]]:
        return self._watched.webhook.told(self._alert, status, **self._labels)

    def since(self, status: str) -> list[dict[str, Any]]:
        """Notifications that have come since this was made."""
        return self._all(status)[self._before[status] :]

    def wait(self, status: str) -> None:
        """Until one has come."""
        until(lambda: self.since(status), f"{self._alert} is told as {status}", ARRIVES_S)


def test_redis_hangs_and_comes_back(loop: Loop, watched: Watching) -> None:
    """It answers nobody: who is on call hears of it, with the runbook, and that it is over."""
    heard = Heard(watched, "StreamWaitsForRedis")
    (redis,) = loop.stack.redis.children
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        heard.wait("firing")
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    told = heard.since("firing")[0]
    assert told["labels"]["severity"] == "critical"
    assert told["annotations"]["runbook_url"] == "docs/runbooks/StreamWaitsForRedis.md"
    heard.wait("resolved")
    folding = "sum(topic:placestream_stream_messages:rate5m) > 0"
    until(lambda: watched.query(folding), "events are folded again", ARRIVES_S)
    loop.stack.check()


def test_the_model_server_dies_and_is_started_again(
    loop: Loop, pages: dict[str, str], watched: Watching
) -> None:
    """RoleDown is told and ends; that answers are degraded meanwhile is held back."""
    until(lambda: "AnswersDegraded" not in watched.firing(), "all is well", ARRIVES_S)
    degraded = Heard(watched, "AnswersDegraded")
    heard = Heard(watched, "RoleDown", job="model-server", instance=pages["model-server"])
    loop.stack.kill_role("model-server")
    heard.wait("firing")

    def held_back() -> bool:
        known = watched.delivered().get("AnswersDegraded")
        return known is not None and known["status"]["state"] == "suppressed"

    until(held_back, "answers are degraded, and that is held back", ARRIVES_S)
    assert not degraded.since("firing")
    loop.stack.start_role("model-server")
    heard.wait("resolved")
    until(lambda: "AnswersDegraded" not in watched.firing(), "answers are whole", ARRIVES_S)
