"""Bars where someone watches, log lines elsewhere."""

import io

import structlog
from rich.console import Console

from models.progress import SILENT, Bars, Logged, reporter_for


def test_a_terminal_gets_bars_and_a_file_gets_lines() -> None:
    """Chosen by what the console is."""
    assert isinstance(reporter_for(Console(file=io.StringIO(), force_terminal=True)), Bars)
    assert isinstance(reporter_for(Console(file=io.StringIO())), Logged)


def test_bars_show_the_stage_and_its_note() -> None:
    """The last state stays on the screen."""
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=120)
    with Bars(console).stage("ranker", 2) as stage:
        stage.advance()
        stage.advance(note="loss 0.3")
    assert "ranker" in shown.getvalue()
    assert "2/2" in shown.getvalue()
    assert "loss 0.3" in shown.getvalue()


def test_a_stage_within_a_stage_has_no_bar() -> None:
    """The terminal shows one at a time; the outer one goes on, and the next has its own again."""
    shown = io.StringIO()
    bars = Bars(Console(file=shown, force_terminal=True, width=120))
    with bars.stage("sets", 2) as stage:
        with bars.stage("tables", None) as inner:
            inner.advance(5)
        stage.advance(2)
    with bars.stage("ranker", 1):
        pass
    assert "2/2" in shown.getvalue()
    assert "tables" not in shown.getvalue()
    assert "ranker" in shown.getvalue()


def test_lines_come_at_each_tenth_and_with_each_note() -> None:
    """A thousand steps are not a thousand lines."""
    with structlog.testing.capture_logs() as lines, Logged().stage("features", 1_000) as stage:
        for _ in range(1_000):
            stage.advance()
        stage.advance(0, note="done")
    assert len(lines) == 11
    assert lines[0]["done"] == 100
    assert lines[-1]["note"] == "done"


def test_silence_is_silent() -> None:
    """For callers who show something of their own."""
    with structlog.testing.capture_logs() as lines, SILENT.stage("any", None) as stage:
        stage.advance(5, note="nobody hears")
    assert lines == []
