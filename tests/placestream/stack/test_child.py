"""Processes that we start: their logs, their ends, and that none outlives us."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from placestream.stack.child import Child, StartError


def python(code: str) -> list[str]:
    """Return the command line of a little program."""
    return [sys.executable, "-c", textwrap.dedent(code)]


def wait_until(true: Callable[[], bool], timeout_s: float = 20) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether no process of that id runs (one that only waits to be reaped does not run)."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    """Standard output and error, in the order in which they were written."""
    log = tmp_path / "deep" / "a.log"
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    Child.spawn("a", python(code), log).wait_done(timeout_s=20)
    assert log.read_text().splitlines() == ["out", "err"]


def test_a_failure_names_the_process_and_shows_its_log(tmp_path: Path) -> None:
    """Whoever reads the error need not look for the log."""
    child = Child.spawn("broker", python("raise SystemExit('no disk')"), tmp_path / "b.log")
    with pytest.raises(StartError, match=r"broker ended with exit code 1(.|\n)*no disk"):
        child.wait_ready(lambda: False, timeout_s=20)


def test_what_ends_between_two_looks_has_ended(tmp_path: Path) -> None:
    """Ready only once it has ended, as it does right after the first look."""
    child, looks = Child.spawn("a", python("pass"), tmp_path / "a.log"), 0

    def ended() -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            while child.alive:
                time.sleep(0.01)
            return False
        return True

    child.wait_ready(ended, timeout_s=20)
    assert looks == 2
    child.kill()


def test_a_command_that_does_not_exist_says_so(tmp_path: Path) -> None:
    """Not only an exit code."""
    child = Child.spawn("x", ["/no/such/program"], tmp_path / "x.log")
    with pytest.raises(StartError, match="cannot run /no/such/program: No such file"):
        child.wait_done(timeout_s=20)


def test_slowness_is_an_error_of_its_own(tmp_path: Path) -> None:
    """It still runs, so there is no exit code to blame."""
    child = Child.spawn("slow", python("import time; time.sleep(60)"), tmp_path / "s.log")
    with pytest.raises(StartError, match="slow was not ready after 0 s"):
        child.wait_ready(lambda: False, timeout_s=0.1)
    assert child.alive
    assert child.kill() == -signal.SIGKILL


def test_the_tail_is_the_end_of_the_log(tmp_path: Path) -> None:
    """Also of a long log with bytes that are no text."""
    log = tmp_path / "t.log"
    code = """
        import sys
        sys.stdout.buffer.write(b"\\xff" * 1_000_000 + b"\\n")
        for number in range(100):
            print(number)
    """
    child = Child.spawn("t", python(code), log)
    child.wait_done(timeout_s=20)
    assert child.tail(lines=3) == "97\n98\n99"


def test_stop_asks_first(tmp_path: Path) -> None:
    """A process that heeds SIGTERM ends with its own exit code."""
    code = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        print("ready", flush=True)
        time.sleep(60)
    """
    child = Child.spawn("polite", python(code), tmp_path / "p.log")
    child.wait_ready(lambda: "ready" in child.tail(), timeout_s=20)
    assert child.stop(grace_s=20) == 7


STUBBORN = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    time.sleep(60)
"""


def test_stop_insists_after_the_grace(tmp_path: Path) -> None:
    """A process that ignores SIGTERM is killed."""
    child = Child.spawn("stubborn", python(STUBBORN), tmp_path / "s.log")
    child.wait_ready(lambda: "ready" in child.tail(), timeout_s=20)
    assert child.stop(grace_s=0.2) == -signal.SIGKILL


def test_a_hurry_cuts_the_grace_short(tmp_path: Path) -> None:
    """The second Ctrl-C."""
    child = Child.spawn("stubborn", python(STUBBORN), tmp_path / "s.log")
    child.wait_ready(lambda: "ready" in child.tail(), timeout_s=20)
    assert child.stop(grace_s=3_600, hurry=lambda: True) == -signal.SIGKILL


def test_a_kill_takes_what_the_process_had_started(tmp_path: Path) -> None:
    """Even after the process itself has died: its group goes too."""
    code = """
        import subprocess, sys
        print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid)
    """
    child = Child.spawn("parent", python(code), tmp_path / "p.log")
    wait_until(lambda: not child.alive)
    grandchild = int(child.tail())
    assert not gone(grandchild)
    child.kill()
    wait_until(lambda: gone(grandchild))


def test_ending_twice_is_harmless(tmp_path: Path) -> None:
    """The second time there is nobody left to signal."""
    child = Child.spawn("a", python("pass"), tmp_path / "a.log")
    assert child.stop() == child.stop() == child.kill()


def test_a_child_does_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    """SIGKILL gives the parent no chance to clean up; the kernel does it."""
    code = f"""
        import time
        from pathlib import Path
        from placestream.stack.child import Child
        command = [{sys.executable!r}, "-c", "import time; time.sleep(60)"]
        print(Child.spawn("c", command, Path({str(tmp_path / "c.log")!r})).pid, flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child_pid = int(parent.stdout.readline())
    assert not gone(child_pid)
    parent.kill()
    parent.communicate()
    wait_until(lambda: gone(child_pid))


def test_a_terminals_ctrl_c_reaches_only_us(tmp_path: Path) -> None:
    """A child has its own session, so that we decide about its end, in our order."""
    child = Child.spawn("c", python("import time; time.sleep(60)"), tmp_path / "c.log")
    wait_until(lambda: os.getsid(child.pid) == child.pid)
    assert os.getpgid(child.pid) == child.pid
    child.kill()
