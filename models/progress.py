"""Showing how far a training is: bars on a terminal, log lines elsewhere, nothing in a library."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

log = structlog.get_logger(__name__)


class Stage(Protocol):
    """One stage of a training while it runs."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Some more steps are done; `note` says how it goes."""


class Reporter(Protocol):
    """Opens a stage for each long part of a training."""

    @contextmanager
    def stage(self, name: str, total: int | None, rows_each: int = 1) -> Iterator[Stage]:
        """A stage of `total` steps (None: not known), open while the context is.

        A step stands for `rows_each` rows. A stage may be opened within another one.
        """
        yield _Silent()


class _Silent:
    def advance(self, steps: int = 1, note: str = "") -> None:
        """Say nothing."""


class Silent:
    """Says nothing."""

    @contextmanager
    def stage(self, name: str, total: int | None, rows_each: int = 1) -> Iterator[Stage]:
        """A stage that nobody sees."""
        yield _Silent()


SILENT = Silent()


class _Logged:
    def __init__(self, name: str, total: int | None) -> None:
        self._name, self._total, self._done = name, total, 0
        self._said = 0

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Log each tenth of the way, and each note."""
        self._done += steps
        tenth = 10 * self._done // self._total if self._total else self._said
        if note or tenth > self._said:
            self._said = tenth
            log.info("training", stage=self._name, done=self._done, of=self._total, note=note)


class Logged:
    """Writes log lines."""

    @contextmanager
    def stage(self, name: str, total: int | None, rows_each: int = 1) -> Iterator[Stage]:
        """A stage that is logged."""
        yield _Logged(name, total)


class _Bar:
    def __init__(self, bars: Progress, name: str, total: int | None) -> None:
        self._bars = bars
        self._task = bars.add_task(name, total=total, note="")

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Move the bar."""
        self._bars.update(self._task, advance=steps, note=note)


class Bars:
    """Draws progress bars on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shows = False

    @contextmanager
    def stage(self, name: str, total: int | None, rows_each: int = 1) -> Iterator[Stage]:
        """A stage with a bar; one within another is not shown."""
        if self._shows:
            yield _Silent()
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self._shows = True
        try:
            with Progress(*columns, console=self._console) as bars:
                yield _Bar(bars, name, total)
        finally:
            self._shows = False


def reporter_for(console: Console) -> Reporter:
    """Bars where someone watches, log lines elsewhere."""
    return Bars(console) if console.is_terminal else Logged()
