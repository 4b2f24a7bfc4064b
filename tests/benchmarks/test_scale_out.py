"""What a change of workers leaves behind, from looks with known numbers."""

from collections.abc import Iterator

import pytest

from benchmarks import scale_out
from benchmarks.scale_out import Change, Moment, change_of, looks


def test_a_change_is_told_from_its_worst_moment() -> None:
    """100 events/s come. Nothing is folded for 4 s, then 300 a second: 400 wait at 4 s, 200 at 5 s,
    none at 6 s."""
    waiting = [0, 100, 200, 300, 400, 200, 0, 0]
    folded = [50, 50, 50, 50, 50, 350, 650, 750]
    both = enumerate(zip(waiting, folded, strict=True))
    seen = [Moment(7.0 + second, *each) for second, each in both]
    assert change_of(seen, usual=50.0) == Change(most=400, worst_s=4, caught_up_s=6, rate=300)


def test_a_change_that_nobody_notices_has_no_rate() -> None:
    """As many wait as at any time: the worst moment is the one that was caught up with."""
    seen = [Moment(7.0, 20, 0), Moment(8.0, 30, 100), Moment(9.0, 10, 200)]
    assert change_of(seen, usual=50.0) == Change(most=30, worst_s=1, caught_up_s=1, rate=0)


def test_looks_go_on_while_too_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is after the change; and not before the change can have shown."""
    monkeypatch.setattr(scale_out, "_LOOK_EVERY_S", 0.0)
    moments: Iterator[Moment] = iter(
        Moment(at_s, waiting, 0)
        for at_s, waiting in ((0, 0), (19, 900), (21, 900), (30, 3), (31, 0))
    )
    assert [moment.at_s for moment in looks(lambda: next(moments), usual=5.0)] == [0, 19, 21, 30]


def test_workers_that_never_keep_up_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """With how many events wait."""
    monkeypatch.setattr(scale_out, "_LOOK_EVERY_S", 0.0)
    moments = iter(Moment(60.0 * minute, 10 * minute, 0) for minute in range(100))
    with pytest.raises(TimeoutError, match="do not keep up: 40 events wait"):
        looks(lambda: next(moments), usual=5.0)
