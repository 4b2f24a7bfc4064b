"""Files that are read again when they change."""

import errno
import os
from pathlib import Path

import pytest
import structlog

from contracts.followed_file import FollowedFile


class Clock:
    """A clock that a test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """Time at zero."""
    return Clock()


def followed(path: Path, clock: Clock) -> FollowedFile[int]:
    """A file with a number in it, looked at once a second."""
    return FollowedFile([path], lambda: int(path.read_text()), clock, every_s=1.0)


def replace(path: Path, text: str) -> None:
    """As careful programs write: whole, under another name, then renamed."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_a_change_is_seen_at_the_next_look(tmp_path: Path, clock: Clock) -> None:
    """Not before: a look costs a call of the system, and there are thousands of requests."""
    path = tmp_path / "n"
    path.write_text("1")
    file = followed(path, clock)
    replace(path, "2")
    clock.now_s = 0.9
    assert file.current() == 1
    clock.now_s = 1.0
    assert file.current() == 2


def test_a_file_of_the_same_size_is_read_again(tmp_path: Path, clock: Clock) -> None:
    """A certificate and its successor are as long as each other."""
    path = tmp_path / "n"
    path.write_text("1")
    stat = path.stat()
    file = followed(path, clock)
    path.write_text("2")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    clock.now_s = 1.0
    assert file.current() == 2


@pytest.mark.parametrize("damage", ["garbled", "gone"])
def test_what_cannot_be_read_changes_nothing(tmp_path: Path, clock: Clock, damage: str) -> None:
    """What was in force stays so, with one line in the log, until the file can be read again."""
    path = tmp_path / "n"
    path.write_text("1")
    file = followed(path, clock)
    with structlog.testing.capture_logs() as logs:
        if damage == "gone":
            path.unlink()
        else:
            replace(path, "one")
        for second in (1.0, 2.0, 3.0):
            clock.now_s = second
            assert file.current() == 1
        replace(path, "2")
        clock.now_s = 4.0
        assert file.current() == 2
    assert [line["event"] for line in logs] == ["file_not_read", "file_read_again"]
    assert logs[0]["files"] == [str(path)]


class Flaky:
    """Reads a number from a file, unless the disk fails."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fails = False

    def __call__(self) -> int:
        if self.fails:
            raise OSError(errno.EMFILE, "Too many open files")
        return int(self.path.read_text())


def test_a_disk_that_failed_once_is_asked_again(tmp_path: Path, clock: Clock) -> None:
    """Else a token that was taken back would stay good until the next change; said once."""
    path = tmp_path / "n"
    path.write_text("1")
    load = Flaky(path)
    file = FollowedFile([path], load, clock, every_s=1.0)
    replace(path, "2")
    read = []
    with structlog.testing.capture_logs() as logs:
        for second, load.fails in ((1.0, True), (2.0, True), (3.0, False), (4.0, True)):
            clock.now_s = second
            read.append(file.current())
    assert read == [1, 1, 2, 2]
    assert [line["event"] for line in logs] == ["file_not_read", "file_read_again"]


def test_who_must_not_go_by_an_older_one_is_told(tmp_path: Path, clock: Clock) -> None:
    """Each time, until it can be read."""
    path = tmp_path / "n"
    path.write_text("1")
    load = Flaky(path)
    file = FollowedFile([path], load, clock)
    assert file.newest() == 1
    replace(path, "2")
    load.fails = True
    for _ in range(2):
        with pytest.raises(OSError, match="Too many open files"):
            file.newest()
    load.fails = False
    assert file.newest() == 2


def test_at_the_start_it_must_be_readable(tmp_path: Path, clock: Clock) -> None:
    """Nothing could stand in for it."""
    with pytest.raises(FileNotFoundError):
        followed(tmp_path / "n", clock)
    (tmp_path / "n").write_text("one")
    with pytest.raises(ValueError, match="one"):
        followed(tmp_path / "n", clock)
