"""Windowed counts as the peers must make them, against dates reckoned by hand."""

import json

import pytest

from benchmarks.peers.counts import EVERYTHING, VISITS, Task, expected, redis_key


def message(kind: str, at: str) -> bytes:
    """An event as the topic has it."""
    return json.dumps({"event_type": kind, "timestamp": at}).encode()


#: The newest is at noon of the 8th. Of its hour the edge is in, a millisecond before it is not.
MESSAGES = [
    ("ann", message("visit", "2026-01-01T11:59:59.999+00:00")),
    ("ann", message("visit", "2026-01-01T12:00:00+00:00")),
    ("ann", message("view", "2026-01-08T11:30:00+00:00")),
    ("ann", message("visit", "2026-01-08T10:59:59.999+00:00")),
    ("ann", message("visit", "2026-01-08T11:00:00+00:00")),
    ("ann", message("visit", "2026-01-08T12:00:00+00:00")),
    ("bob", message("view", "2026-01-08T12:00:00+00:00")),
]


@pytest.mark.parametrize(
    ("what", "ann", "bob"), [(VISITS, (2, 3, 4), None), (EVERYTHING, (3, 4, 5), (1, 1, 1))]
)
def test_windows_end_at_the_newest_event_that_counts(
    what: str, ann: tuple[int, ...], bob: tuple[int, ...] | None
) -> None:
    """Both ends are in; whoever did nothing that counts has no key."""
    keys = {
        user: [redis_key(user, window) for window in ("1h", "24h", "7d")] for user in ("ann", "bob")
    }
    should_be = dict(zip(keys["ann"], ann, strict=True))
    if bob is not None:
        should_be |= dict(zip(keys["bob"], bob, strict=True))
    assert expected(MESSAGES, what) == should_be


def test_a_task_passes_through_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one process writes, the other reads."""
    task = Task("host:1", "events", "host", 2, 10, VISITS, 3, "/some where")
    monkeypatch.setattr("sys.argv", ["module", task.as_argument()])
    assert Task.given() == task
