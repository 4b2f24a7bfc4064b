"""The run of the suite: its report, its words, and that nobody is called."""

import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from retrain.training_data.profile import parse_profile
from retrain.training_data.report import standalone
from retrain.training_data.suite import Check, checks
from retrain.training_data.tables import tables_of
from retrain.training_data.validate import validate
from tests.retrain.training_data.conftest import ENDING_S, MOST, Read


def test_the_report_says_what_failed_and_loads_nothing(
    city: Read, suite: tuple[Check, ...], tmp_path: Path
) -> None:
    """One page a table; no address of the outside in it, and the browser is told to ask none."""
    broken = replace(city.events, rating=city.events.rating * 20)
    validation = validate(tables_of(broken, city.catalogue, MOST), suite)
    folder = validation.write(tmp_path / "report")
    pages = {path.stem: path.read_text() for path in folder.glob("*.html")}
    assert set(pages) == {"interactions", "days", "places"}
    for page in pages.values():
        assert not re.search(r"""(?:src|href)=["']?https?:|url\(["']?https?:|<script""", page)
        assert "default-src 'none'" in page
    told = {
        name: re.search(r"Status:.*?(Failed|Succeeded)", page, re.DOTALL)
        for name, page in pages.items()
    }
    assert {name: found and found.group(1) for name, found in told.items()} == {
        "interactions": "Failed", "days": "Succeeded", "places": "Succeeded",
    }  # fmt: skip


def test_the_note_gives_the_value_what_was_asked_and_why(
    city: Read, suite: tuple[Check, ...]
) -> None:
    """Someone who reads the rollout topic needs no other source."""
    late = checks(city.profile, now_s=ENDING_S + 5 * 86_400, max_age_s=86_400, mean_shift=1.0)
    note = validate(tables_of(city.events, city.catalogue, MOST), late).note
    # The city ends at 2025-06-15 15:06:40 UTC; 5 days later a day's age is asked for.
    assert "interactions.time_s.freshness: 2025-06-15" in note
    assert "asked for 2025-06-19 15:06 UTC to" in note
    assert "stands still" in note


def test_nobody_is_called(
    city: Read, suite: tuple[Check, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Analytics are off: no connection is even tried."""
    called = []

    def connect(_: socket.socket, address: object) -> None:
        called.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", connect)
    validate(tables_of(city.events, city.catalogue, MOST), suite)
    assert called == []


def test_a_page_without_a_head_is_made_standalone_too() -> None:
    """What fetches goes, what says something stays."""
    page = standalone('<p>12 <img src="https://a/b.png"><a href="https://a">kept</a></p>')
    assert "https://" not in page
    assert "kept" in page
    assert "12" in page


def test_a_profile_goes_through_a_card_unchanged(city: Read) -> None:
    """And what is none is told."""
    assert parse_profile(dict(city.profile)) == city.profile
    with pytest.raises(ValueError, match="no profile"):
        parse_profile(None)
    with pytest.raises(ValueError, match="no profile"):
        parse_profile({"columns": {}})
