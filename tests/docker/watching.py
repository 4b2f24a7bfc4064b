"""A real Prometheus and Alertmanager on our rules in a hurry, and a webhook that is called."""

import json
import re
import shutil
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from placestream.stack.child import Child
from placestream.stack.ports import free_port
from tests.docker.faster import write_alertmanager, write_prometheus, write_rules
from tests.docker.project import services

START_S = 60.0


class Webhook:
    """What Alertmanager calls; remembers what it was told, in order."""

    def __init__(self) -> None:
        self._told: list[dict[str, Any]] = []
        told = self._told

        class Handler(BaseHTTPRequestHandler):
            """Takes a notification."""

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                told.extend(json.loads(self.rfile.read(length))["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def told(self, alert: str, status: str, **labels: str) -> list[dict[str, Any]]:
        """Notifications of an alert that is `firing` or `resolved`, with these labels."""
        return [
            one
            for one in list(self._told)
            if one["status"] == status
            and {"alertname": alert, **labels}.items() <= one["labels"].items()
        ]

    def close(self) -> None:
        """No longer answer."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass(frozen=True)
class Watching:
    """The servers: what Prometheus sees and says, and what arrives of it.

    Attributes:
        prometheus, alertmanager: their addresses.
        webhook: what Alertmanager's receiver calls.
    """

    prometheus: str
    alertmanager: str
    webhook: Webhook

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


def until(true: Callable[[], object], what: str, within_s: float = 60.0) -> None:
    """Wait until something holds; `within_s` is far more than it takes."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"it did not come true: {what}"
        time.sleep(0.2)


@contextmanager
def watching(folder: Path, addresses: dict[str, str], every: str = "250ms") -> Iterator[Watching]:
    """Prometheus and Alertmanager, run with the flags of docker-compose.yml.

    Args:
        folder: for their files.
        addresses: of what Prometheus scrapes, by job.
        every: how often it does.
    """
    with ExitStack() as closing:
        webhook = Webhook()
        closing.callback(webhook.close)
        write_rules(folder / "rules")
        write_alertmanager(folder / "alertmanager.yml", webhook.url)
        paths = {
            "/etc/alertmanager/alertmanager.yml": folder / "alertmanager.yml",
            "/alertmanager": folder / "alertmanager",
        }
        flags = _composed_flags("alertmanager", paths)
        alertmanager = closing.enter_context(_started("prometheus-alertmanager", folder, flags))
        host = alertmanager.removeprefix("http://")
        write_prometheus(folder / "prometheus.yml", addresses, host, every)
        paths = {
            "/etc/prometheus/prometheus.yml": folder / "prometheus.yml",
            "/prometheus": folder / "tsdb",
        }
        # Debian's Prometheus 2 is asked to read the environment, as 3 does by itself.
        flags = [
            *_composed_flags("prometheus", paths),
            "--enable-feature=expand-external-labels",
        ]
        prometheus = closing.enter_context(_started("prometheus", folder, flags))
        yield Watching(prometheus, alertmanager, webhook)


def _composed_flags(service: str, here: dict[str, Path]) -> list[str]:
    """A service's flags in docker-compose.yml, on paths of the test."""
    flags = list(services()[service]["command"])
    for inside, path in here.items():
        assert sum(flag.endswith(f"={inside}") for flag in flags) == 1, inside
        flags = [re.sub(f"={inside}$", f"={path}", flag) for flag in flags]
    return flags


@contextmanager
def _started(program: str, folder: Path, flags: list[str]) -> Iterator[str]:
    """A server of Prometheus' on a free port; its URL."""
    path = shutil.which(program)
    assert path, f"{program} is missing: apt-get install prometheus prometheus-alertmanager"
    address = f"127.0.0.1:{free_port()}"
    command = [path, *flags, f"--web.listen-address={address}"]
    child = Child.spawn(program, command, folder / f"{program}.log", cwd=folder)
    try:
        child.wait_ready(lambda: _ready(f"http://{address}"), START_S)
        yield f"http://{address}"
    finally:
        child.stop()


def _ready(url: str) -> bool:
    """Whether a server of Prometheus' says that it is ready."""
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False
