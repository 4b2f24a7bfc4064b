"""The order in which versions are loaded and unloaded, without TensorFlow and without a clock."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from inference.model_server.errors import ServingError
from inference.model_server.manager import VersionManager
from inference.model_server.states import State


class Shelf:
    """Stands in for loading: remembers what was loaded and closed, fails on request."""

    def __init__(self) -> None:
        self.acts: list[str] = []
        self.broken: set[str] = set()
        self.error: Exception = ServingError(grpc.StatusCode.DATA_LOSS, "broken")
        self.woken = 0
        self.manager = VersionManager(self.load, self.wake)

    def wake(self) -> None:
        """Count the manager's calls for attention."""
        self.woken += 1

    def load(self, path: Path) -> Any:
        """Load a version, unless it is broken."""
        if path.name in self.broken:
            raise self.error
        self.acts.append(f"load {path.name}")
        return Loaded(self, path.name)

    def want(self, *versions: int) -> list[str]:
        """Aspire to these versions of "m" and return what was done."""
        self.acts.clear()
        self.manager.aspire("m", {version: Path(str(version)) for version in versions})
        self.manager.step()
        return list(self.acts)

    def states(self) -> dict[int, State]:
        """State by version."""
        return {v: status.state for v, status in self.manager.states.of("m").items()}


class Loaded:
    """Stands in for a servable."""

    def __init__(self, shelf: Shelf, name: str) -> None:
        self._shelf = shelf
        self._name = name

    def close(self) -> None:
        """Note that the memory was freed."""
        self._shelf.acts.append(f"close {self._name}")


@pytest.fixture
def shelf() -> Shelf:
    """A manager with nothing in it."""
    return Shelf()


def test_newest_is_loaded_first(shelf: Shelf) -> None:
    """Whoever asks for the latest gets it soonest."""
    assert shelf.want(2, 4, 3) == ["load 4", "load 3", "load 2"]


def test_new_is_loaded_before_old_is_closed(shelf: Shelf) -> None:
    """At every moment a version serves."""
    shelf.want(1)
    assert shelf.want(2) == ["load 2", "close 1"]


def test_old_stays_while_new_is_broken(shelf: Shelf) -> None:
    """The only version that works is kept, wanted or not, until a later one relieves it."""
    shelf.want(1)
    shelf.broken = {"2"}
    assert shelf.want(2) == []
    assert shelf.states() == {2: State.END, 1: State.AVAILABLE}
    assert shelf.want(3) == ["load 3", "close 1"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ServingError(grpc.StatusCode.DATA_LOSS, "broken"), "DATA_LOSS: broken"),
        (FileNotFoundError("gone"), "NOT_FOUND: gone"),
        (PermissionError("no entry"), "UNKNOWN: PermissionError: no entry"),
        (MemoryError(), "UNKNOWN: MemoryError: "),
    ],
)
def test_whatever_loading_raises_ends_the_version(
    shelf: Shelf, error: Exception, status: str
) -> None:
    """With its status and a line in the log; the one before it serves, the next is loaded."""
    shelf.want(1)
    shelf.broken, shelf.error = {"2"}, error
    with capture_logs() as logs:
        assert shelf.want(2) == []
    assert [e["error"] for e in logs if e["event"] == "model_load_failed"] == [status]
    assert shelf.states() == {2: State.END, 1: State.AVAILABLE}
    assert str(shelf.manager.states.of("m")[2].error) == status
    assert shelf.want(3) == ["load 3", "close 1"]


def test_only_the_last_of_several_old_ones_stays(shelf: Shelf) -> None:
    """One version is enough for availability; the lower one goes first."""
    shelf.want(1, 2)
    shelf.broken = {"3"}
    assert shelf.want(3) == ["close 1"]
    assert shelf.want() == ["close 2"]


def test_a_broken_version_is_tried_again_only_when_wanted_anew(shelf: Shelf) -> None:
    """No reload at each poll; but after it was gone for a while, yes."""
    shelf.broken = {"1"}
    shelf.want(1)
    shelf.broken = set()
    assert shelf.want(1) == []
    shelf.want()
    assert shelf.want(1) == ["load 1"]
    assert shelf.manager.lease("m", None).version == 1


def test_a_sole_broken_version_is_relieved(shelf: Shelf) -> None:
    """A model whose first version failed comes to life with the next."""
    shelf.broken = {"1"}
    shelf.want(1)
    assert shelf.want(2) == ["load 2"]
    assert shelf.manager.lease("m", None).version == 2


def test_a_version_in_use_is_closed_when_the_last_user_leaves(shelf: Shelf) -> None:
    """Two users; the second one's leaving wakes the manager, which then closes."""
    shelf.want(1)
    first, second = shelf.manager.lease("m", 1), shelf.manager.lease("m", None)
    assert shelf.want(2) == ["load 2"]
    assert shelf.states() == {2: State.AVAILABLE, 1: State.UNLOADING}
    with first:
        pass
    assert (shelf.woken, shelf.want(2)) == (0, [])
    with second:
        pass
    assert (shelf.woken, shelf.want(2)) == (1, ["close 1"])
    assert shelf.states() == {2: State.AVAILABLE, 1: State.END}


def test_a_version_wanted_again_while_unloading_comes_back(shelf: Shelf) -> None:
    """It ends first, and is loaded afresh after."""
    shelf.want(1)
    with shelf.manager.lease("m", 1):
        shelf.want(2)
        assert shelf.want(1, 2) == []
    assert shelf.want(1, 2) == ["close 1"]
    assert shelf.want(1, 2) == ["load 1"]


def test_a_version_wanted_again_before_it_was_unloaded_stays(shelf: Shelf) -> None:
    """Kept for availability and then wanted once more: nothing is done."""
    shelf.want(1)
    shelf.broken = {"2"}
    shelf.want(2)
    assert shelf.want(1) == []
    assert shelf.states() == {2: State.END, 1: State.AVAILABLE}
