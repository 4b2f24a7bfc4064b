"""The committed stubs are those of the committed proto."""

from pathlib import Path

import pytest

from contracts.make_stubs import PROTO, STUBS, make_stubs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stubs made now from the committed proto."""
    directory = tmp_path_factory.mktemp("stubs")
    make_stubs(directory)
    return directory


@pytest.mark.parametrize("stub", STUBS)
def test_stubs_match_the_proto(fresh: Path, stub: str) -> None:
    """Whoever changes the proto runs `make stubs`."""
    assert (ROOT / stub).read_text() == (fresh / stub).read_text()


def test_every_file_that_is_made_is_compared(fresh: Path) -> None:
    """The list of stubs is complete."""
    made = {str(file.relative_to(fresh)) for file in fresh.rglob("*") if file.is_file()}
    assert made == set(STUBS)
    assert (ROOT / PROTO).is_file()
