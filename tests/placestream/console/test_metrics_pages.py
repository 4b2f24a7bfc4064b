"""Reading the roles' metrics: real pages, sums by label, and what stands in the way."""

import math
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from contracts.settings import Settings
from placestream.console.metrics_pages import BadAddresses, Page, addresses, read_page
from placestream.stack.ports import LOCALHOST, free_port


@pytest.fixture
def url() -> Iterator[str]:
    """A page with a gauge, a counter and a histogram."""
    registry = CollectorRegistry()
    lag = Gauge("lag", "Of partitions.", ["topic", "partition"], registry=registry)
    for topic, partition, value in (("a", "0", 3), ("a", "1", 4), ("b", "0", 5)):
        lag.labels(topic, partition).set(value)
    Counter("events", "So far.", registry=registry).inc(7)
    took = Histogram("took", "Seconds.", ["way"], buckets=(1, 2), registry=registry)
    for way, seconds in (("x", 0.5), ("x", 1.5), ("y", 9)):
        took.labels(way).observe(seconds)
    port = free_port()
    server, thread = start_http_server(port, LOCALHOST, registry)
    yield f"http://{LOCALHOST}:{port}/metrics"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """What pages are read with."""
    async with aiohttp.ClientSession() as session:
        yield session


async def test_a_page_is_read(url: str, session: aiohttp.ClientSession) -> None:
    """Series are added up by what they have in common."""
    page = await read_page(session, "stream", url)
    assert page.problem == ""
    assert page.by("lag", "topic") == {"a": 7.0, "b": 5.0}
    assert page.sum("lag", partition="0") == 8.0
    assert page.sum("events_total") == 7.0
    assert page.buckets("took") == {1.0: 1.0, 2.0: 2.0, math.inf: 3.0}
    assert page.buckets("took", way="y") == {1.0: 0.0, 2.0: 0.0, math.inf: 1.0}
    assert page.sum("unknown") == 0.0


async def test_a_page_that_is_away_says_why(session: aiohttp.ClientSession) -> None:
    """Nobody listens: a problem, and no number."""
    page = await read_page(session, "serve", f"http://{LOCALHOST}:{free_port()}/metrics")
    assert page.problem
    assert page == Page("serve", page.url, {}, page.problem)


def test_without_a_setting_they_are_this_machines() -> None:
    """A port of 0 is a page that is off."""
    settings = Settings(_env_file=None, stream_metrics_port=1, serve_metrics_port=0)
    assert addresses(settings)[0] == ("stream", f"http://{LOCALHOST}:1/metrics")
    assert [role for role, _ in addresses(settings)] == ["stream", "retrain"]


def test_the_setting_may_name_a_role_more_than_once() -> None:
    """Several workers are one stream."""
    said = "stream=http://a:1/metrics, stream=http://b:1/metrics"
    settings = Settings(_env_file=None, console_metrics=said)
    assert addresses(settings) == [
        ("stream", "http://a:1/metrics"),
        ("stream", "http://b:1/metrics"),
    ]


@pytest.mark.parametrize("said", ["stream", "kafka=http://a/", "stream=a:1", "stream=http://a,"])
def test_a_bad_setting_is_named(said: str) -> None:
    """With what is wrong in it."""
    with pytest.raises(BadAddresses, match="PLACESTREAM_CONSOLE_METRICS"):
        addresses(Settings(_env_file=None, console_metrics=said))
