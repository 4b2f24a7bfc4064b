"""Processor time as Linux counts it, against Python's own clocks."""

import os
import time

import pytest

from benchmarks.cpu import Meter, busy_s, used_s

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def work(seconds: float) -> None:
    """Use so much processor time."""
    until_s = time.process_time() + seconds
    while time.process_time() < until_s:
        pass


def test_used_time_is_what_python_says_of_this_process() -> None:
    """The same kernel counters, but for rounding to ticks."""
    before_s = time.process_time()
    used = used_s([os.getpid()])
    assert before_s - 3 * TICK_S <= used <= time.process_time() + 3 * TICK_S


def test_work_shows_in_its_group_and_in_the_machine() -> None:
    """Half a second of work is in this process's group, and the machine was at least as busy."""
    meter = Meter({"us": (os.getpid(),), "nobody": ()})
    before, busy_before_s = meter.read(), busy_s()
    work(0.5)
    percent = meter.percent(before)
    wall_s = time.monotonic() - before["wall"]
    assert percent["us"] * wall_s / 100 == pytest.approx(0.5, abs=0.1)
    assert percent["nobody"] == 0
    assert percent["elsewhere"] >= 0
    assert busy_s() - busy_before_s > 0.3
