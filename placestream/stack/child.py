"""One process that we started: its log, its end, and a guarantee that it never outlives us."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

POLL_S = 0.05
TAIL_BYTES = 64 * 1024
_TIE = Path(__file__).with_name("die_with_parent.py")


class StartError(RuntimeError):
    """A process did not come up; the message names it and holds the end of its log."""


def never() -> bool:
    """No hurry."""
    return False


@dataclass(frozen=True)
class Child:
    """A running (or ended) process, leader of its own session and process group."""

    name: str
    process: subprocess.Popen[bytes]
    log_file: Path

    @classmethod
    def spawn(
        cls,
        name: str,
        command: Sequence[str],
        log_file: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Self:
        """Start a command with its output appended to `log_file`.

        On Linux the kernel kills it when the *thread* that called this ends, so call it from a
        thread that lasts (the main one).
        """
        log_file.parent.mkdir(parents=True, exist_ok=True)
        tied = [sys.executable, "-IS", str(_TIE), str(os.getpid()), *command]
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                tied,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        return cls(name, process, log_file)

    @property
    def pid(self) -> int:
        """Process id, which is also its process group's."""
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it.

        The dead process is looked at, not reaped, so that its id (and its group's) cannot pass
        to a stranger before `kill()` has cleared what it left behind.
        """
        if self.process.returncode is None:
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            end = os.waitid(os.P_PID, self.pid, flags)
            if end is None:
                return None
            return end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        return self.process.returncode

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.exit_code is None

    def stop(self, grace_s: float = 10, hurry: Callable[[], bool] = never) -> int:
        """Ask it to end (SIGTERM), then end it (SIGKILL); return its exit code.

        Args:
            grace_s: how long it may take.
            hurry: asked again and again while waiting; true cuts the grace short.
        """
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while self.alive and time.monotonic() < deadline and not hurry():
            time.sleep(POLL_S)
        return self.kill()

    def kill(self) -> int:
        """End it and whatever it started, at once (SIGKILL); return its exit code."""
        self._signal(signal.SIGKILL)
        return self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def tail(self, lines: int = 30) -> str:
        """Return the last lines of its log."""
        with self.log_file.open("rb") as log:
            log.seek(max(0, self.log_file.stat().st_size - TAIL_BYTES))
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def describe_end(self) -> str:
        """Say how it ended, with the end of its log."""
        code = self.exit_code
        if code is None:
            how = "is still running"
        elif code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        else:
            how = f"ended with exit code {code}"
        return f"{self.name} {how}; the end of {self.log_file}:\n{self.tail()}"

    def wait_done(self, timeout_s: float) -> None:
        """Wait until it has ended with exit code 0.

        Raises:
            StartError: it failed, or it took longer than `timeout_s` and was killed.
        """
        try:
            self.wait_ready(lambda: not self.alive, timeout_s)
        finally:
            self.kill()
        if self.exit_code != 0:
            raise StartError(self.describe_end())

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `ready()` is true.

        Raises:
            StartError: it ended first, or it took longer than `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.alive:
                if ready():  # it came to that between the two looks
                    return
                raise StartError(self.describe_end())
            if time.monotonic() > deadline:
                raise StartError(
                    f"{self.name} was not ready after {timeout_s:.0f} s; the end of "
                    f"{self.log_file}:\n{self.tail()}"
                )
            time.sleep(POLL_S)
