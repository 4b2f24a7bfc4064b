"""The simulation against latencies that were measured."""

import dataclasses

import pytest

from placestream.capacity.constants import load
from placestream.capacity.held_to import FITTED, HELD_OUT, WITHIN, simulated, told


def test_the_fit_is_that_of_the_constants() -> None:
    """At the load that they were fitted to, both quantiles come out again, within 3 %."""
    per, _ = load()
    found = simulated(FITTED.per_s, per)
    assert found.p50_ms == pytest.approx(FITTED.p50_ms, rel=0.03)
    assert found.p99_ms == pytest.approx(FITTED.p99_ms, rel=0.03)


def test_another_load_is_foretold() -> None:
    """Five times the load, of which nothing was fitted: within 20 %; docs/capacity.md has both."""
    per, _ = load()
    found = simulated(HELD_OUT.per_s, per)
    assert found.p50_ms == pytest.approx(HELD_OUT.p50_ms, rel=WITHIN)
    assert found.p99_ms == pytest.approx(HELD_OUT.p99_ms, rel=WITHIN)
    assert "within 20 %" in told(per)


def test_what_does_not_fit_is_said() -> None:
    """Were service times all alike, the tail would be far too short."""
    per, _ = load()
    assert "do not believe the p99" in told(dataclasses.replace(per, service_spread=0.1))
