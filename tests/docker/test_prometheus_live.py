"""A real Prometheus and Alertmanager on our rules: silence while all is well, then alerts."""

import json
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, start_http_server

from inference.metrics import Metrics
from placestream.stack.child import Child
from placestream.stack.ports import free_port
from tests.docker import series
from tests.docker.project import ROOT, services

JOBS = ("stream", "serve", "retrain", "model-server")
#: Minutes of the rules are two seconds here, so that the test takes seconds; of one second, a busy
#: machine could miss all scrapes that it takes for a role to count as gone.
FASTER = 30
WAIT_S = 60.0


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


@dataclass(frozen=True)
class Watched:
    """The servers of the test and what they watch."""

    prometheus: str
    alertmanager: str
    targets: dict[str, Target]
    serve: Metrics

    def firing(self) -> set[str]:
        """Names of the alerts that Prometheus says are firing."""
        found = get(f"{self.prometheus}/api/v1/alerts")["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}

    def delivered(self) -> dict[str, Any]:
        """Alerts as Alertmanager has them, by name."""
        found = get(f"{self.alertmanager}/api/v2/alerts")
        return {alert["labels"]["alertname"]: alert for alert in found}

    def query(self, expression: str) -> Any:
        """Samples of an instant query; a query that cannot be parsed raises HTTPError."""
        words = urllib.parse.urlencode({"query": expression})
        return get(f"{self.prometheus}/api/v1/query?{words}")["data"]["result"]


def get(url: str) -> Any:
    """JSON of a GET."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def until(true: Callable[[], object]) -> None:
    """Wait until something holds; a minute is far more than it takes."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.2)


def faster(duration: str) -> str:
    """A duration of the rules, divided by FASTER."""
    amount, unit = int(duration[:-1]), duration[-1]
    milliseconds = amount * {"s": 1, "m": 60, "h": 3_600}[unit] * 1_000 // FASTER
    return f"{milliseconds}ms"


def write_rules(folder: Path) -> None:
    """Our rules with every duration shortened."""
    folder.mkdir()
    for path in series.rule_files():
        text = path.read_text(encoding="utf-8")
        for long in ("5m", "15m", "1h"):
            text = text.replace(f"[{long}]", f"[{faster(long)}]")
            text = text.replace(f"offset {long}", f"offset {faster(long)}")
        rules = yaml.safe_load(text)
        for rule in (rule for group in rules["groups"] for rule in group["rules"]):
            if "for" in rule:
                rule["for"] = faster(rule["for"])
        (folder / path.name).write_text(yaml.safe_dump(rules))


def write_config(path: Path, addresses: dict[str, str], alertmanager: str) -> None:
    """Our configuration, with fixed addresses in place of DNS names."""
    config = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "250ms", "evaluation_interval": "250ms"}
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    jobs = [job for job in config["scrape_configs"] if job["job_name"] in addresses]
    for job in jobs:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [addresses[job["job_name"]]]}]
    config["scrape_configs"] = jobs
    path.write_text(yaml.safe_dump(config))


def ready(url: str) -> bool:
    """Whether a server of Prometheus' says that it is ready."""
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False


def composed_flags(service: str, here: dict[str, Path]) -> list[str]:
    """A service's flags in docker-compose.yml, on paths of the test."""
    flags = list(services()[service]["command"])
    for inside, path in here.items():
        assert sum(flag.endswith(f"={inside}") for flag in flags) == 1, inside
        flags = [re.sub(f"={inside}$", f"={path}", flag) for flag in flags]
    return flags


def start(program: str, folder: Path, flags: list[str]) -> tuple[Child, str]:
    """Start a server of Prometheus' on a free port; the process and its URL."""
    path = shutil.which(program)
    assert path, f"{program} is missing: apt-get install prometheus prometheus-alertmanager"
    address = f"127.0.0.1:{free_port()}"
    command = [path, *flags, f"--web.listen-address={address}"]
    child = Child.spawn(program, command, folder / f"{program}.log", cwd=folder)
    try:
        child.wait_ready(lambda: ready(f"http://{address}"), WAIT_S)
    except BaseException:
        child.kill()
        raise
    return child, f"http://{address}"


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Four roles that answer, watched by Prometheus, which tells Alertmanager."""
    serve = Metrics()
    registries = {job: CollectorRegistry() for job in JOBS} | {"serve": serve.registry}
    targets = {job: Target(registry) for job, registry in registries.items()}
    # The model server's path is its own; a role's metrics are served under any path.
    write_rules(tmp_path / "rules")
    children: list[Child] = []
    try:
        paths = {
            "/etc/alertmanager/alertmanager.yml": ROOT / "docker/alertmanager/alertmanager.yml",
            "/alertmanager": tmp_path / "alertmanager",
        }
        flags = composed_flags("alertmanager", paths)
        alertmanager, alert_url = start("prometheus-alertmanager", tmp_path, flags)
        children.append(alertmanager)
        addresses = {job: target.address for job, target in targets.items()}
        write_config(tmp_path / "prometheus.yml", addresses, alert_url.removeprefix("http://"))
        paths = {
            "/etc/prometheus/prometheus.yml": tmp_path / "prometheus.yml",
            "/prometheus": tmp_path / "tsdb",
        }
        prometheus, url = start("prometheus", tmp_path, composed_flags("prometheus", paths))
        children.append(prometheus)
        yield Watched(url, alert_url, targets, serve)
    finally:
        for child in reversed(children):
            child.stop()
        for target in targets.values():
            target.stop()


def test_alerts_arrive_when_something_breaks(watched: Watched) -> None:
    """Nothing while all is well; then a role that is gone and degraded answers are told of."""
    requests = watched.serve.requests.labels("Recommend", "OK")
    degraded = watched.serve.degraded.labels("popularity")

    def good_day() -> bool:
        requests.inc(100)
        degraded.inc(1)
        ratio = watched.query("sum(level:placestream_degraded:ratio_rate5m)")
        return len(watched.query("up == 1")) == len(JOBS) and bool(ratio)

    # What is told while Prometheus comes up, before it has seen anybody, says nothing.
    until(lambda: good_day() and not watched.firing())
    for _ in range(10):
        good_day()
        assert watched.firing() == set()
        time.sleep(0.2)

    def bad_day() -> bool:
        requests.inc(100)
        degraded.inc(50)
        return "AnswersDegraded" in watched.firing()

    watched.targets["retrain"].stop()
    until(bad_day)
    until(lambda: "RoleDown" in watched.firing())
    until(lambda: {"AnswersDegraded", "RoleDown"} <= set(watched.delivered()))
    told = watched.delivered()["RoleDown"]
    assert told["labels"]["job"] == "retrain"
    assert told["annotations"]["summary"] == "retrain does not answer"
    assert [receiver["name"] for receiver in told["receivers"]] == ["operators"]


def test_queries_of_the_dashboards_are_understood(watched: Watched) -> None:
    """Prometheus parses and runs every query of the dashboards."""
    for expression in series.queries():
        assert isinstance(watched.query(expression), list)
