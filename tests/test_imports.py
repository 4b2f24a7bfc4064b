"""Who may import whom: the rooms of DESIGN.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Room to the rooms that it may import, beside itself.
MAY_IMPORT: dict[str, set[str]] = {
    "contracts": set(),
    "online_features": {"contracts"},
    "streams": {"contracts", "online_features"},
    "models": {"contracts", "online_features"},
    "inference": {"contracts", "online_features"},
    "retrain": {"contracts", "online_features", "models"},
    "placestream": {
        "contracts",
        "online_features",
        "streams",
        "models",
        "inference",
        "retrain",
    },
}
ROOMS = {*MAY_IMPORT, "benchmarks", "tests"}


def imported_rooms(source: str) -> Iterator[str]:
    """Yield the top-level package of every import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (name.name.partition(".")[0] for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield module.partition(".")[0]


def trespasses(room: str, source: str) -> set[str]:
    """Return the rooms that a file of `room` imports and may not."""
    return (set(imported_rooms(source)) & ROOMS) - MAY_IMPORT[room] - {room}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    """No file of a room, tests aside, imports a room that it must not know."""
    found = {
        str(file.relative_to(ROOT)): rooms
        for file in sorted((ROOT / room).rglob("*.py"))
        if (rooms := trespasses(room, file.read_text()))
    }
    assert not found


def test_rooms_have_no_circles() -> None:
    """The table itself has an order: each room can be built after those that it imports."""
    built: set[str] = set()
    while len(built) < len(MAY_IMPORT):
        ready = {room for room, needs in MAY_IMPORT.items() if needs <= built} - built
        assert ready, f"circle among {set(MAY_IMPORT) - built}"
        built |= ready


@pytest.mark.parametrize(
    "source",
    [
        "import models",
        "from models.train import run",
        "import numpy, models.export as export",
        "def late():\n    from models import train",
        "import importlib\nimportlib.import_module('models.train')",
        "if TYPE_CHECKING:\n    from models.train import Pair",
    ],
)
def test_every_way_to_import_is_seen(source: str) -> None:
    """The service reaches models only through the model server's protocol, however it tries."""
    assert trespasses("inference", source) == {"models"}


def test_relative_imports_stay_in_the_room() -> None:
    """A relative import cannot leave its room, so it is none of this test's business."""
    assert not trespasses("contracts", "from . import ids\nfrom .placestream import v1")
