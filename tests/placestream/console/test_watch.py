"""What the console says of the service, from two looks at the roles' pages."""

from collections.abc import Mapping

from placestream.console.metrics_pages import Page
from placestream.console.watch import Look, _service


def look(at_s: float, alone: Mapping[str, float], batched: Mapping[str, float]) -> Look:
    """A look at one `serve` that counted so many requests by code, alone and inside of batches."""
    counted = {
        "placestream_requests_total": [
            ({"method": "Recommend", "code": code}, value) for code, value in alone.items()
        ],
        "placestream_batch_items_total": [
            ({"code": code}, value) for code, value in batched.items()
        ],
        "placestream_degraded_total": [({"level": "popularity"}, 8.0)],
    }
    return Look(at_s, [Page("serve", "http://serve", counted)])


def test_requests_inside_of_batches_are_answers_too() -> None:
    """Degraded answers come of both, so both are what they are held against."""
    before = look(0, {"OK": 0}, {"OK": 0})
    told = _service(look(10, {"OK": 10, "INTERNAL": 10}, {"OK": 30, "UNAVAILABLE": 50}), before)
    assert told["answers"] == 40
    assert told["per_s"] == 10
    assert told["degraded"] == 8


def test_a_service_that_nobody_asks_in_batches_has_answers_all_the_same() -> None:
    """There is no series of batches before the first one."""
    before = look(0, {"OK": 0}, {})
    told = _service(look(10, {"OK": 20}, {}), before)
    assert told["answers"] == 20
    assert told["per_s"] == 2
