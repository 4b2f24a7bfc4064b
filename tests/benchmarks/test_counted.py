"""The rate that follows from what a counting process said."""

import pytest

from benchmarks.counted import Counted, rate_told


def test_the_rate_begins_at_the_warm_share() -> None:
    """From 30 of 100 events at 2 s to the last at 9 s: ten a second; other lines are no words."""
    lines = [b"counted 10 1.0\n", b"a warning\n", b"counted 30 2.0\n", b"counted 100 9.0\n"]
    assert rate_told(lines, 100, warm_share=0.2) == 10.0


def test_a_process_that_does_all_at_once_is_as_fast_as_its_start() -> None:
    """A tiny run: the first word after the beginning is the last."""
    assert rate_told([b"counted 0 1.0\n", b"counted 100 3.0\n"], 100, warm_share=0.2) == 50.0


def test_a_process_that_ends_early_has_no_rate() -> None:
    """It never said the last event."""
    with pytest.raises(RuntimeError, match="ended before"):
        rate_told([b"counted 30 2.0\n", b"counted 99 9.0\n"], 100, warm_share=0.2)


def test_what_is_said_is_what_is_read(capfd: pytest.CaptureFixture[str]) -> None:
    """Too soon after the last word nothing is said, but for the end."""
    counted = Counted(100)
    assert capfd.readouterr().out.startswith("\ncounted 0 ")
    for count, now_s in ((20, 10.0), (30, 10.01), (60, 14.0), (100, 14.01)):
        counted(count, now_s)
    lines = capfd.readouterr().out.encode().splitlines()
    assert b"counted 30 10.01" not in lines
    assert rate_told(lines, 100, warm_share=0.2) == pytest.approx(80 / 4.01)
