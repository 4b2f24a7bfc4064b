"""The file of clients: what is good in it, and what is refused with a reason."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from inference.access.clients import BadClients, ClientList, read, write

HASH = "ab" * 32


def listing(path: Path, *clients: dict[str, Any]) -> Path:
    """A file of some clients."""
    path.write_text(json.dumps({"clients": clients}))
    return path


def test_a_file_written_by_hand(tmp_path: Path) -> None:
    """Everything but name and rights may be left out."""
    client = {
        "name": "backend",
        "rights": ["recommend", "GetFeatures"],
        "tokens": [{"sha256": HASH, "expires": "2027-01-01T00:00:00Z"}],
        "certificates": ["backend.example"],
        "requests_per_s": 0.5,
        "burst": 2,
    }
    path = listing(tmp_path / "c.json", client, {"name": "idle", "rights": []})
    first, second = read(path).clients
    assert first.tokens[0].expires is not None
    assert (second.tokens, second.certificates, second.requests_per_s) == ([], [], None)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"rights": ["recomend"]}, "no right 'recomend'"),
        ({"righs": []}, "righs"),  # what is misspelt is not passed over
        ({"name": "a b"}, "name"),
        ({"tokens": [{"sha256": "xyz"}]}, "sha256"),
        ({"tokens": [{"sha256": HASH, "expires": "2027-01-01T00:00:00"}]}, "expires"),  # no zone
        ({"tokens": [{"sha256": HASH}, {"sha256": HASH}]}, "token .* twice"),
        ({"requests_per_s": 0}, "requests_per_s"),
        ({"burst": 0}, "burst"),
        ({"certificates": [""]}, "certificates"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changed: dict[str, Any], complaint: str) -> None:
    """With the file, since there are others."""
    path = listing(tmp_path / "c.json", {"name": "a", "rights": ["recommend"]} | changed)
    with pytest.raises(BadClients, match=rf"c\.json.*{complaint}"):
        read(path)


def test_nobody_stands_for_two(tmp_path: Path) -> None:
    """One name, one token, one certificate: one client."""
    a, b = ({"name": name, "rights": []} for name in "ab")
    for twice, what in (
        ({"name": "a"}, "name"),
        ({"tokens": [{"sha256": HASH}]}, "token"),
        ({"certificates": ["x"]}, "certificate"),
    ):
        with pytest.raises(BadClients, match=f"the {what} .* twice"):
            read(listing(tmp_path / "c.json", a | twice, b | twice))


@pytest.mark.parametrize("text", ["", "[", "[]", "[" * 100_000, "\x00", '{"clients": 1}'])
def test_what_is_no_such_file_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    """However it is damaged."""
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(BadClients):
        read(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_who_may_read_the_file_still_may(tmp_path: Path) -> None:
    """Root takes a token back from a file that is the service's alone, under whatever umask."""
    path = listing(tmp_path / "c.json")
    service, group = 12_345, 23_456
    for mode in (0o600, 0o640):
        os.chown(path, service, group)
        path.chmod(mode)
        before = os.umask(0o077)
        try:
            write(path, ClientList())
        finally:
            os.umask(before)
        now = path.stat()
        assert (now.st_uid, now.st_gid, now.st_mode & 0o777) == (service, group, mode)
