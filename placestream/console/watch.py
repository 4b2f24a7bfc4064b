"""How the roles fare: read every two seconds, and kept for the last minutes."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog

from contracts.settings import Settings
from placestream.console.drift import drift
from placestream.console.metrics_pages import Page, addresses, read_page
from placestream.console.quantiles import increase, quantile

log = structlog.get_logger(__name__)
EVERY_S = 2.0
#: Five minutes.
KEPT = 150
#: Rates and quantiles are over the last minute.
OVER = 30
_AGE = "placestream_stream_event_age_seconds"
_ASKED = "placestream_request_seconds"


@dataclass(frozen=True)
class Look:
    """All pages at one moment (Unix seconds)."""

    at_s: float
    pages: Sequence[Page]

    def sum(self, name: str, **labels: str) -> float:
        """As `Page.sum`, over all pages."""
        return sum(page.sum(name, **labels) for page in self.pages)

    def by(self, name: str, label: str) -> dict[str, float]:
        """As `Page.by`, over all pages."""
        found: dict[str, float] = {}
        for page in self.pages:
            for key, value in page.by(name, label).items():
                found[key] = found.get(key, 0.0) + value
        return found

    def buckets(self, name: str, **labels: str) -> dict[float, float]:
        """As `Page.buckets`, over all pages."""
        found: dict[float, float] = {}
        for page in self.pages:
            for edge, count in page.buckets(name, **labels).items():
                found[edge] = found.get(edge, 0.0) + count
        return dict(sorted(found.items()))


class Watch:
    """Looks at the roles in the background; what it saw is there at once."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._addresses = addresses(settings)
        self._looks: deque[Look] = deque(maxlen=KEPT)

    async def run(self) -> None:
        """Until cancelled."""
        async with aiohttp.ClientSession() as session:
            while True:
                await self.look(session)
                await asyncio.sleep(EVERY_S)

    async def look(self, session: aiohttp.ClientSession) -> None:
        """Read every page once."""
        pages = await asyncio.gather(*(read_page(session, *one) for one in self._addresses))
        self._looks.append(Look(self._clock(), pages))

    def told(self) -> dict[str, Any]:
        """What the page shows: roles, streams, service, drift; rates over the last minute."""
        if not self._looks:
            return {"at_s": None, "roles": [], "stream": None, "service": None, "drift": None}
        looks = list(self._looks)
        now = looks[-1]
        before = looks[max(0, len(looks) - 1 - OVER)]
        return {
            "at_s": now.at_s,
            "roles": [{"role": p.role, "url": p.url, "problem": p.problem} for p in now.pages],
            "stream": _stream(looks, before) if _has(now, "stream") else None,
            "service": _service(now, before) if _has(now, "serve") else None,
            "drift": drift(self._settings, looks) if _has(now, "retrain") else None,
        }


def _has(look: Look, role: str) -> bool:
    return any(page.role == role and not page.problem for page in look.pages)


def _stream(looks: Sequence[Look], before: Look) -> dict[str, Any]:
    now = looks[-1]
    ages = increase(now.buckets(_AGE), before.buckets(_AGE))
    lag = now.by("placestream_stream_lag_messages", "topic")
    return {
        "topics": [
            {
                "topic": topic,
                "lag": messages,
                "history": [
                    look.sum("placestream_stream_lag_messages", topic=topic) for look in looks
                ],
                "per_s": _per_s(now, before, "placestream_stream_messages_total", topic=topic),
            }
            for topic, messages in sorted(lag.items())
        ],
        "outcomes": now.by("placestream_stream_events_total", "outcome"),
        "fresh_p50_s": quantile(ages, 0.5),
        "fresh_p99_s": quantile(ages, 0.99),
        "stalled": now.sum("placestream_stream_stalled_partitions"),
        "redis_away": now.sum("placestream_stream_redis_away") > 0,
    }


def _service(now: Look, before: Look) -> dict[str, Any]:
    took = increase(
        now.buckets(_ASKED, method="Recommend"), before.buckets(_ASKED, method="Recommend")
    )
    p50, p99 = quantile(took, 0.5), quantile(took, 0.99)
    alone = _per_s(now, before, "placestream_requests_total", method="Recommend")
    batched = _per_s(now, before, "placestream_batch_items_total")
    return {
        "per_s": None if alone is None or batched is None else alone + batched,
        "p50_ms": None if p50 is None else 1_000 * p50,
        "p99_ms": None if p99 is None else 1_000 * p99,
        "degraded": now.sum("placestream_degraded_total"),
        "answers": now.sum("placestream_requests_total", method="Recommend", code="OK")
        + now.sum("placestream_batch_items_total", code="OK"),
        "places": now.sum("placestream_catalogue_places"),
    }


def _per_s(now: Look, before: Look, name: str, **labels: str) -> float | None:
    """Rate of a counter; None where there is no time or the process began anew."""
    passed_s, more = now.at_s - before.at_s, now.sum(name, **labels) - before.sum(name, **labels)
    return more / passed_s if passed_s > 0 and more >= 0 else None
