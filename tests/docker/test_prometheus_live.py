"""A real Prometheus and Alertmanager on our rules: silence while all is well, then alerts."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from inference.metrics import Metrics
from tests.docker import series
from tests.docker.watching import Watching, until, watching

RUNBOOKS = "https://git.example/placestream/blob/main/"
JOBS = ("stream", "serve", "retrain", "model-server")


class Target:
    """One scraped endpoint."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._server, self._thread = start_http_server(0, addr="127.0.0.1", registry=registry)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """No longer answer."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def serve() -> Metrics:
    """The metrics of the service that is watched."""
    return Metrics()


@pytest.fixture
def targets(serve: Metrics) -> Iterator[dict[str, Target]]:
    """Four roles that answer."""
    registries = {job: CollectorRegistry() for job in JOBS} | {"serve": serve.registry}
    # The model server's path is its own; a role's metrics are served under any path.
    found = {job: Target(registry) for job, registry in registries.items()}
    yield found
    for target in found.values():
        target.stop()


@pytest.fixture
def watched(
    targets: dict[str, Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watching]:
    """Prometheus, which watches them and knows where runbooks are read, and Alertmanager."""
    monkeypatch.setenv("RUNBOOKS_URL", RUNBOOKS)
    addresses = {job: target.address for job, target in targets.items()}
    with watching(tmp_path, addresses) as servers:
        yield servers


def test_alerts_arrive_when_something_breaks(
    watched: Watching, targets: dict[str, Target], serve: Metrics
) -> None:
    """Nothing while all is well; then a role that is gone and degraded answers are told of."""
    requests = serve.requests.labels("Recommend", "OK")
    degraded = serve.degraded.labels("popularity")

    def good_day() -> bool:
        requests.inc(100)
        degraded.inc(1)
        ratio = watched.query("sum(level:placestream_degraded:ratio_rate5m)")
        return len(watched.query("up == 1")) == len(JOBS) and bool(ratio)

    # What is told while Prometheus comes up, before it has seen anybody, says nothing.
    until(lambda: good_day() and not watched.firing(), "all is well")
    for _ in range(10):
        good_day()
        assert watched.firing() == set()
        time.sleep(0.2)

    def bad_day() -> bool:
        requests.inc(100)
        degraded.inc(50)
        return "AnswersDegraded" in watched.firing()

    targets["retrain"].stop()
    until(bad_day, "AnswersDegraded fires")
    until(lambda: "RoleDown" in watched.firing(), "RoleDown fires")
    until(lambda: {"AnswersDegraded", "RoleDown"} <= set(watched.delivered()), "both are told")
    told = watched.delivered()["RoleDown"]
    assert told["labels"]["job"] == "retrain"
    assert told["annotations"]["summary"] == "retrain does not answer"
    assert told["annotations"]["runbook_url"] == f"{RUNBOOKS}docs/runbooks/RoleDown.md"
    assert "runbooks" not in told["labels"]
    assert [receiver["name"] for receiver in told["receivers"]] == ["operators"]


def test_queries_of_the_dashboards_are_understood(watched: Watching) -> None:
    """Prometheus parses and runs every query of the dashboards."""
    for expression in series.queries():
        assert isinstance(watched.query(expression), list)
