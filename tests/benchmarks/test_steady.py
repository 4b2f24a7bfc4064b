"""`python -m benchmarks.steady`: what is compared with what; and on a tiny city, what it prints."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import steady
from benchmarks.open_loop import Call, Slice
from tests.benchmarks.printed import printed_by

TINY = "--users 60 --places 150 --days 10 --rate 10 --requests 60 --stretch-s 2 --rounds 1 --json"
AGED, FRESH = "aged", "fresh"


def test_age_is_compared_with_a_fresh_pair_and_the_same_arrivals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Aged answers take 30 ms, fresh ones 20; the fresh pair is started after 1,000 requests."""
    asked: list[tuple[str, float, float, int]] = []
    started_after: list[int] = []

    def client(who: str) -> Any:
        return SimpleNamespace(ask=who)

    async def load(
        ask: str, rate: float, seconds: float, rng: np.random.Generator, **_: float
    ) -> Any:
        asked.append((ask, rate, seconds, int(rng.integers(2**32))))
        done_s = 0.020 if ask == FRESH else 0.030
        call: Call[Any] = Call(0.0, 0.0, done_s, None, "UNAVAILABLE")
        return Slice((call,) * round(rate * seconds), rate)

    @asynccontextmanager
    async def fresh_pair(_: Any) -> AsyncIterator[tuple[Any, int]]:
        started_after.append(run.asked)
        yield client(FRESH), 2

    monkeypatch.setattr(steady, "load", load)
    monkeypatch.setattr(steady, "fresh_pair", fresh_pair)
    monkeypatch.setattr(steady, "_mib", lambda pid: float(pid))
    supervisor = SimpleNamespace(child=lambda _: SimpleNamespace(pid=1))
    scene: Any = SimpleNamespace(stack=SimpleNamespace(supervisor=supervisor))
    run = steady.Run(scene, client(AGED), rate=10.0)

    figures = asyncio.run(run.flatness(requests=1_000, rate=50.0, rounds=2, stretch_s=4.0))

    told = {figure.name: figure.values for figure in figures}
    assert told["aged p99 / fresh p99"] == pytest.approx((1.5, 1.5))
    assert (told["memory of serve aged"], told["memory of serve fresh"]) == ((1.0,), (2.0,))
    assert started_after == [1_000]
    first, last = asked[:2], asked[-4:]
    assert [who for who, *_ in last] == [FRESH, AGED, AGED, FRESH]
    draws = [draw for *_, draw in first]
    assert [draw for *_, draw in last] == [draws[0], draws[0], draws[1], draws[1]]
    assert {(rate, seconds) for _, rate, seconds, _ in (*first, *last)} == {(10.0, 4.0)}
    assert run.errors == 6 * 40, "those of the time between are not counted"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_event_is_measured_beside_a_calm_stretch() -> None:
    """All of them happen to a whole installation, which then still answers."""
    said = printed_by("benchmarks.steady", TINY)
    for name in ("model_swap", "redis_reconnects", "place_updates"):
        assert said[f"{name}_p99__per__calm_p99_ratio"] > 0, said
    assert said["aged_p99__per__fresh_p99_ratio"] > 0
    assert said["errors_measured"] < said["requests"]
