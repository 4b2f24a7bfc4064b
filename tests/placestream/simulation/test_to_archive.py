"""A source as an archive: all of it, by the days of its events, however it is cut into chunks."""

from pathlib import Path

import numpy as np
import pytest

from contracts.ids import id64
from online_features.archive import read_arrivals, read_catalogue, read_context, read_interactions
from online_features.archive_schema import INTERACTIONS
from placestream.simulation import City, to_archive
from placestream.simulation.checkin_files import Venue
from placestream.simulation.checkins import CheckIns
from placestream.simulation.times import DAY_S
from placestream.simulation.to_archive import write_archive


def test_an_archive_holds_what_the_source_does(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events in their order, each in the folder of its day; the catalogue and the weather too."""
    monkeypatch.setattr(to_archive, "AT_ONCE", 1_000)
    assert write_archive(city, tmp_path) == len(city.events)
    log = read_interactions(tmp_path)
    np.testing.assert_array_equal(log.time_s, city.events.time_ms / 1000)
    np.testing.assert_array_equal(log.kind, city.events.kind)
    assert log.user[0] == id64(str(city.ids.user(int(city.events.user[0]))))
    days = {int(day) for day in (city.events.time_ms // (1000 * DAY_S)).tolist()}
    assert len(list((tmp_path / INTERACTIONS).iterdir())) == len(days)
    newest = read_interactions(tmp_path, since_s=float(city.ending_s) - DAY_S)
    np.testing.assert_array_equal(newest.time_s, log.time_s[log.time_s >= city.ending_s - DAY_S])
    arrivals = read_arrivals(tmp_path)
    np.testing.assert_array_equal(arrivals.received_s, arrivals.time_s)
    np.testing.assert_array_equal(arrivals.offset, np.arange(len(log)))
    assert len(read_catalogue(tmp_path)) == len(city.places)
    assert read_context(tmp_path).regions == (city.region,)


def test_a_source_without_weather_is_written_too(tmp_path: Path) -> None:
    """Check-in files know none."""
    venue = Venue("v", "Bar", 40.0, -74.0)
    first, second = np.zeros(1, np.int32), np.array([1.4e9])
    write_archive(CheckIns("city", ("u",), (venue,), first, first, second), tmp_path)
    assert read_interactions(tmp_path).place_id.tolist() == ["v"]
    assert read_context(tmp_path).regions == ()
