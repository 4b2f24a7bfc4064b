"""The roles' own pages of metrics, read as Prometheus reads them; no Prometheus is needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from contracts.settings import Settings
from placestream.stack.ports import LOCALHOST

READ_S = 2.0
ROLES = ("stream", "serve", "retrain")
Labels = Mapping[str, str]


class BadAddresses(ValueError):
    """PLACESTREAM_CONSOLE_METRICS is not what it should be."""


@dataclass(frozen=True)
class Page:
    """One role's metrics at one moment.

    Attributes:
        role: whose they are.
        url: where they were read.
        samples: name to (labels, value) of each series.
        problem: why there are none; empty if there are.
    """

    role: str
    url: str
    samples: Mapping[str, Sequence[tuple[Labels, float]]] = field(default_factory=dict)
    problem: str = ""

    def sum(self, name: str, **labels: str) -> float:
        """All series of a name that have these labels, added up; 0 if there are none."""
        return sum(
            value
            for its, value in self.samples.get(name, ())
            if all(its.get(label) == wanted for label, wanted in labels.items())
        )

    def by(self, name: str, label: str) -> dict[str, float]:
        """Series of a name added up by one of their labels."""
        found: dict[str, float] = {}
        for its, value in self.samples.get(name, ()):
            found[its.get(label, "")] = found.get(its.get(label, ""), 0.0) + value
        return found

    def buckets(self, name: str, **labels: str) -> dict[float, float]:
        """A histogram's cumulative counts by upper edge, series with these labels added up."""
        found: dict[float, float] = {}
        for its, value in self.samples.get(f"{name}_bucket", ()):
            if all(its.get(label) == wanted for label, wanted in labels.items()):
                edge = float(its["le"])
                found[edge] = found.get(edge, 0.0) + value
        return dict(sorted(found.items()))


def addresses(settings: Settings) -> list[tuple[str, str]]:
    """(role, URL) of each page; a role may have several, and none where its metrics are off.

    Raises:
        BadAddresses: the setting cannot be read.
    """
    if settings.console_metrics:
        return [_address(part) for part in settings.console_metrics.split(",")]
    ports = {
        "stream": settings.stream_metrics_port,
        "serve": settings.serve_metrics_port,
        "retrain": settings.retrain_metrics_port,
    }
    return [(role, f"http://{LOCALHOST}:{port}/metrics") for role, port in ports.items() if port]


def _address(part: str) -> tuple[str, str]:
    role, _, url = part.strip().partition("=")
    if role not in ROLES or not url.startswith(("http://", "https://")):
        raise BadAddresses(
            f"PLACESTREAM_CONSOLE_METRICS: {part.strip()!r} is not role=URL, "
            f"with a role of {', '.join(ROLES)}"
        )
    return role, url


async def read_page(session: aiohttp.ClientSession, role: str, url: str) -> Page:
    """Read one page; what stands in the way is in its `problem`."""
    try:
        timeout = aiohttp.ClientTimeout(total=READ_S)
        async with session.get(url, timeout=timeout) as response:
            response.raise_for_status()
            text = await response.text()
        return Page(role, url, _parsed(text))
    except (TimeoutError, aiohttp.ClientError, ValueError) as error:
        return Page(role, url, problem=str(error) or "no answer in time")


def _parsed(text: str) -> dict[str, list[tuple[Labels, float]]]:
    samples: dict[str, list[tuple[Labels, float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, float(sample.value)))
    return samples
