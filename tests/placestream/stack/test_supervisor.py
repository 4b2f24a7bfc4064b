"""The supervisor: order, deaths, and ends."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from placestream.stack.child import StartError
from placestream.stack.supervisor import ChildDied, Supervisor, placestream_command

#: A role for tests: says what it sees, and does what its name says.
ROLE = """
import os, signal, sys, time
role, *arguments = sys.argv[1:]
def end(*_):
    with open(os.environ["ENDS"], "a") as ends: print(role, file=ends)
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if role == "stubborn" else end)
if role == "broken":
    sys.exit("cannot find my socks")
print("ready", *arguments, flush=True)
while True: time.sleep(1)
"""


def command(role: str) -> list[str]:
    """Return the command line of a role for tests."""
    return [sys.executable, "-c", ROLE, role]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """A supervisor of such roles; their ends are written down."""
    with Supervisor(tmp_path, {"ENDS": str(tmp_path / "ends")}, command) as supervisor:
        yield supervisor


def start(supervisor: Supervisor, tmp_path: Path, *roles: str) -> None:
    """Start roles, each until it has said that it is ready."""
    for role in roles:
        supervisor.start(role, ready=said_ready(tmp_path / f"{role}.log"))


def said_ready(log: Path) -> Callable[[], bool]:
    """Return a check that a log says "ready"."""
    return lambda: log.exists() and "ready" in log.read_text()


def test_a_role_is_the_placestream_command() -> None:
    """With the Python that runs this, so that no PATH can mislead."""
    assert placestream_command("serve") == [sys.executable, "-m", "placestream", "serve"]


def test_the_newest_ends_first(supervisor: Supervisor, tmp_path: Path) -> None:
    """Who leans on another is ended before it."""
    start(supervisor, tmp_path, "stream", "model-server", "serve")
    supervisor.stop()
    assert (tmp_path / "ends").read_text().split() == ["serve", "model-server", "stream"]


def test_the_environment_and_arguments_reach_the_role(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    """Settings go by the environment; the rest by the command line."""
    log = tmp_path / "stream.log"
    supervisor.start("stream", ready=said_ready(log), arguments=["--fast"])
    assert log.read_text().strip() == "ready --fast"


def test_a_role_that_does_not_come_up_is_an_error(supervisor: Supervisor) -> None:
    """With its name and its last words."""
    with pytest.raises(StartError, match=r"broken ended with exit code 1(.|\n)*socks"):
        supervisor.start("broken", ready=lambda: False)


def test_a_death_is_noticed_logged_and_raised(supervisor: Supervisor, tmp_path: Path) -> None:
    """At once in the log, and at the next check in the program."""
    with capture_logs() as logs:
        start(supervisor, tmp_path, "stream", "serve")
        supervisor.check()
        supervisor.child("stream").kill()
        with pytest.raises(ChildDied, match=r"stream was ended by SIGKILL(.|\n)*ready"):
            supervisor.wait()
        deadline = time.monotonic() + 20
        while not (died := [line for line in logs if line["event"] == "died"]):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert [line["role"] for line in died] == ["stream"]
    assert supervisor.child("serve").alive


def test_an_end_that_was_asked_for_is_no_death(supervisor: Supervisor, tmp_path: Path) -> None:
    """Neither a clean one nor a kill, and the role can be started again."""
    start(supervisor, tmp_path, "stream", "serve")
    assert supervisor.stop_role("stream") == 0
    supervisor.kill_role("serve")
    supervisor.check()
    start(supervisor, tmp_path, "serve")
    supervisor.check()
    assert supervisor.child("serve").alive


def test_a_role_that_died_can_be_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    """Then all is well again."""
    start(supervisor, tmp_path, "serve")
    supervisor.child("serve").kill()
    with pytest.raises(ChildDied):
        supervisor.check()
    start(supervisor, tmp_path, "serve")
    supervisor.check()


def test_a_role_runs_once(supervisor: Supervisor, tmp_path: Path) -> None:
    """Two of a name would share a log and a port."""
    start(supervisor, tmp_path, "serve")
    with pytest.raises(ValueError, match="serve runs already"):
        supervisor.start("serve")


def test_the_stubborn_are_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    """And the others still end in their order."""
    start(supervisor, tmp_path, "stream", "stubborn", "serve")
    supervisor.stop(grace_s=0.3)
    assert supervisor.child("stubborn").exit_code == -signal.SIGKILL
    assert (tmp_path / "ends").read_text().split() == ["serve", "stream"]


def test_a_signal_while_stopping_cuts_the_grace_short(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    """The second Ctrl-C neither leaves a process behind nor waits for it."""
    start(supervisor, tmp_path, "stubborn")
    main = threading.main_thread().ident
    assert main is not None
    second = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT))
    second.start()
    supervisor.stop(grace_s=3_600)
    second.join()
    assert supervisor.child("stubborn").exit_code == -signal.SIGKILL


def test_stopping_twice_is_harmless(supervisor: Supervisor, tmp_path: Path) -> None:
    """`with` stops what somebody has stopped before."""
    start(supervisor, tmp_path, "serve")
    supervisor.stop()
    supervisor.stop()
