"""Signals that end a command: one exception for all, so that what was started is stopped."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """A signal asks the command to end. Like Ctrl-C, no `except Exception` swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell reports for a command that this signal ended."""
        return 128 + self.number


@contextmanager
def ending_raises() -> Iterator[None]:
    """While inside, SIGINT, SIGTERM and SIGHUP raise `Ended` in the main thread."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise Ended(number)

    with _handled(end):
        yield


@contextmanager
def ending_counted() -> Iterator[Callable[[], int]]:
    """While inside, those signals interrupt nothing; yields a function that counts them."""
    seen: list[int] = []

    def count(number: int, _frame: FrameType | None) -> None:
        seen.append(number)

    with _handled(count):
        yield lambda: len(seen)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and only it receives signals
        return
    before: dict[int, Any] = {number: signal.signal(number, handler) for number in ENDING}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
