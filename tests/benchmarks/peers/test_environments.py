"""Environments of peers: what cannot be installed is said to be so, and is no error."""

from pathlib import Path

import pytest

from benchmarks.peers.__main__ import ready, standing
from benchmarks.peers.environments import BYTEWAX, FEAST, QUIX, Missing, Peer, Ready, environment_of


def test_what_cannot_be_installed_is_missing_and_says_why(tmp_path: Path) -> None:
    """A real pip that finds no such file; nothing is left of the attempt."""
    pins = tmp_path / "pins.txt"
    pins.write_text(f"nowhere @ {(tmp_path / 'nowhere-1.0-py3-none-any.whl').as_uri()}\n")
    found = environment_of(Peer("Nowhere", "nowhere", pins), tmp_path / "environments")
    assert isinstance(found, Missing)
    assert "nowhere" in found.why
    assert not any(path.is_dir() for path in (tmp_path / "environments").iterdir())


def test_a_missing_peer_is_told_and_not_measured() -> None:
    """Its group goes on with those that are there."""
    here = Ready(Path("python"), "1.2")
    found: dict[Peer, Ready | Missing] = {
        QUIX: here,
        BYTEWAX: Missing("no wheel for this machine"),
        FEAST: Missing("no"),
    }
    assert standing(found)["quixstreams"] == "Quix Streams 1.2"
    assert standing(found)["bytewax"] == (
        "Bytewax is not installable here: no wheel for this machine"
    )
    assert ready(found, "stream") == {QUIX: here}
    assert ready(found, "reads") == {}


@pytest.mark.parametrize("peer", [QUIX, BYTEWAX, FEAST])
def test_every_pin_has_one_version(peer: Peer) -> None:
    """The peer itself among them."""
    pins = dict(line.split("==") for line in peer.requirements.read_text().splitlines())
    assert peer.package in pins
