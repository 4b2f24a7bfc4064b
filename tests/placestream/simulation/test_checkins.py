"""Files of check-ins: both formats, every kind of damage, and times that move by weeks."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from contracts.events import Interaction, PlaceUpdate
from placestream.simulation import BadCheckIns, load_checkins, messages
from placestream.simulation.checkin_files import fixed_zone

HEADER = "user_id,venue_id,category,lat,lng,timestamp,time_precision"
ROWS = (
    "7,v2,Bar,40.75,-73.99,2012-04-03T18:02:24Z,s",
    '470,v1,"Arts, Crafts",40.7,-74.0,2012-04-03T18:00:09Z,s',
    '7,v1,"Arts, Crafts",40.7,-74.0,2012-04-04T00:00:00+02:00,m',
)
TSMC = (
    "470\tv1\t4bf58\tArts & Crafts Store\t40.7\t-74.0\t-240\tTue Apr 03 18:00:09 +0000 2012",
    "979\tv2\t4bf58\tCaf\xe9\t35.6\t139.7\t540\tWed Apr 04 18:00:25 +0000 2012",
)


def write(path: Path, text: str, *, encoding: str = "utf-8") -> Path:
    """Write a file, zipped if its name says so."""
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_csv(directory: Path, *rows: str, name: str = "town_checkins.csv.gz") -> Path:
    """A CSV with the usual header."""
    return write(directory / name, "\n".join([HEADER, *rows, ""]))


@pytest.mark.parametrize("name", ["town_checkins.csv.gz", "town_checkins.csv"])
def test_a_csv_becomes_visits_and_places(tmp_path: Path, name: str) -> None:
    """Rows are ordered by time, ids stay as they are, and nothing is added."""
    source = load_checkins(write_csv(tmp_path, *ROWS, name=name))
    events = [msgspec.convert(e, Interaction, strict=True) for e in source.interactions()]
    assert [(e.user_id, e.place_id, e.event_type) for e in events] == [
        ("470", "v1", "visit"),
        ("7", "v2", "visit"),
        ("7", "v1", "visit"),
    ]
    assert events[2].timestamp == datetime(2012, 4, 3, 22, tzinfo=UTC)
    assert all(e.rating is None and e.dwell_s is None for e in events)
    places = {u["place_id"]: u["updates"] for u in source.place_updates()}
    assert places["v1"] == {
        "category": "Arts, Crafts",
        "location": {"lat": 40.7, "lng": -74.0},
        "time_zone": "Etc/GMT+5",
        "region": "town",
    }
    assert list(source.context_updates()) == []
    assert source.size == len(list(messages(source))) == 5
    about = source.describe()
    assert (about.users, about.places, about.interactions["visit"]) == (2, 2, 3)
    assert any("no weather" in note for note in about.notes)


def test_the_tab_separated_original_is_read(tmp_path: Path) -> None:
    """Latin-1, no header, zone from the given offset."""
    source = load_checkins(write(tmp_path / "TSMC.txt", "\n".join(TSMC), encoding="latin-1"))
    first, second = source.place_updates()
    assert first["updates"]["time_zone"] == "Etc/GMT+4"
    assert second["updates"]["time_zone"] == "Etc/GMT-9"
    assert second["updates"]["category"] == "Caf\xe9"
    times = [msgspec.convert(e, Interaction).timestamp for e in source.interactions()]
    assert times == [
        datetime(2012, 4, 3, 18, 0, 9, tzinfo=UTC),
        datetime(2012, 4, 4, 18, 0, 25, tzinfo=UTC),
    ]
    assert source.region == "TSMC"


def test_a_file_of_venues_beside_it_gives_names(tmp_path: Path) -> None:
    """Names, categories and coordinates of the sibling count; what it lacks stays."""
    path = write_csv(tmp_path, *ROWS)
    venues = "venue_id,category,lat,lng,name\nv1,Craft Shop,40.71,-74.01,Pearl\nv9,Bar,1,2,Else\n"
    write(tmp_path / "town_venues.csv.gz", venues)
    for source in (load_checkins(path), load_checkins(path, tmp_path / "town_venues.csv.gz")):
        places = {u["place_id"]: u["updates"] for u in source.place_updates()}
        assert set(places) == {"v1", "v2"}
        assert places["v1"]["name"] == "Pearl"
        assert places["v1"]["category"] == "Craft Shop"
        assert places["v1"]["location"] == {"lat": 40.71, "lng": -74.01}
        assert "name" not in places["v2"]
        for update in source.place_updates():
            msgspec.convert(update, PlaceUpdate)


def test_zone_and_region_can_be_given(tmp_path: Path) -> None:
    """Arguments outrank what is derived."""
    path = write_csv(tmp_path, *ROWS)
    source = load_checkins(path, time_zone="America/New_York", region="New York")
    assert source.region == "New York"
    assert {u["updates"]["time_zone"] for u in source.place_updates()} == {"America/New_York"}
    assert {u["updates"]["region"] for u in source.place_updates()} == {"New York"}


@pytest.mark.parametrize(
    ("hours", "zone"),
    [
        (-4.93, "Etc/GMT+5"),
        (9, "Etc/GMT-9"),
        (0.4, "Etc/GMT"),
        (5.5, "Etc/GMT-6"),
        (-12, "Etc/GMT+12"),
    ],
)
def test_fixed_zones_are_full_hours_with_the_sign_reversed(hours: float, zone: str) -> None:
    """The zone's offset is the nearest full hour; halves go east."""
    from zoneinfo import ZoneInfo

    assert fixed_zone(hours) == zone
    offset = datetime(2024, 1, 1, tzinfo=ZoneInfo(zone)).utcoffset()
    assert offset is not None
    assert abs(offset.total_seconds() / 3_600 - hours) <= 0.5


@pytest.mark.parametrize("weeks_on", [0, 1, 600, -30])
def test_a_shift_keeps_weekday_and_hour(tmp_path: Path, weeks_on: int) -> None:
    """All move by the same whole weeks; the last is within a week of the end, and not after it."""
    source = load_checkins(write_csv(tmp_path, *ROWS))
    last_s = source.time_s[-1]
    ending_s = last_s + weeks_on * 7 * 86_400 + 3 * 86_400
    moved = source.shift_to(ending_s)
    assert ending_s - 7 * 86_400 < moved.time_s[-1] <= ending_s
    for before, after in zip(source.interactions(), moved.interactions(), strict=True):
        was, now = (datetime.fromisoformat(e["timestamp"]) for e in (before, after))
        assert (was.weekday(), was.time()) == (now.weekday(), now.time())
        assert (now - was).days == weeks_on * 7
        assert before["event_id"] == after["event_id"]
    assert moved.shift_to(ending_s).time_s.tolist() == moved.time_s.tolist()


def test_a_row_twice_is_one_check_in(tmp_path: Path) -> None:
    """It is left out, and said so."""
    source = load_checkins(write_csv(tmp_path, ROWS[0], ROWS[0], ROWS[1]))
    assert len(list(source.interactions())) == 2
    assert any("1 identical" in note for note in source.describe().notes)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (",v1,Bar,40.7,-74,2012-04-03T18:00:09Z,s", "user_id"),
        (f"1,{'v' * 129},Bar,40.7,-74,2012-04-03T18:00:09Z,s", "venue_id"),
        (f"1,v1,{'B' * 513},40.7,-74,2012-04-03T18:00:09Z,s", "category"),
        ("1,v1,Bar,north,-74,2012-04-03T18:00:09Z,s", "lat"),
        ("1,v1,Bar,90.1,-74,2012-04-03T18:00:09Z,s", "lat"),
        ("1,v1,Bar,40.7,nan,2012-04-03T18:00:09Z,s", "lng"),
        ("1,v1,Bar,40.7,-74,yesterday,s", "timestamp"),
        ("1,v1,Bar,40.7,-74,1999-12-31T18:00:09Z,s", "timestamp"),
        ("1,v1,Bar,40.7,-74", ""),
        ('1,"v1,Bar,40.7,-74,2012-04-03T18:00:09Z,s', ""),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_column(tmp_path: Path, row: str, column: str) -> None:
    """The third line is at fault, and the message says where to look."""
    path = write_csv(tmp_path, ROWS[0], row)
    with pytest.raises(BadCheckIns) as caught:
        load_checkins(path)
    assert caught.value.path == path
    assert caught.value.line >= 3
    assert caught.value.column == column
    assert f"{path}, line {caught.value.line}" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (TSMC[0].replace("-240", "-24000"), "timezoneOffset"),
        (TSMC[0].replace("Apr", "Avr"), "utcTimestamp"),
        (TSMC[0].replace("18:00:09", "25:00:09"), "utcTimestamp"),
        (TSMC[0].replace("40.7", "140.7"), "latitude"),
        (TSMC[0].replace("\t-74.0", ""), ""),
    ],
)
def test_a_bad_line_of_the_original_is_named_too(tmp_path: Path, line: str, column: str) -> None:
    """Columns have the names of the set's own description."""
    path = write(tmp_path / "TSMC.txt", f"{TSMC[0]}\n{line}\n", encoding="latin-1")
    with pytest.raises(BadCheckIns) as caught:
        load_checkins(path)
    assert (caught.value.line, caught.value.column) == (2, column)


def test_whole_files_can_be_wrong(tmp_path: Path) -> None:
    """Nothing in it, no column, broken gzip, wrong encoding, not there: each says which file."""
    cases = {
        "empty.csv": b"",
        "only_header.csv": HEADER.encode(),
        "other.csv": b"a,b,c\n1,2,3\n",
        "cut.csv.gz": gzip.compress("\n".join([HEADER, *ROWS * 50]).encode())[:-30],
        "latin.csv": "\n".join([HEADER, ROWS[0].replace("Bar", "Caf\xe9")]).encode("latin-1"),
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadCheckIns, match=name):
            load_checkins(tmp_path / name)
    with pytest.raises(BadCheckIns, match="column user_id"):
        load_checkins(tmp_path / "other.csv")
    with pytest.raises(FileNotFoundError):
        load_checkins(tmp_path / "absent.csv")


def test_a_story_of_check_ins_is_made_of_visits(tmp_path: Path) -> None:
    """Clicks are unknown to such a set, so the scene has three visits to three places."""
    stamp = "2012-04-03T{:02d}:{:02d}:00Z"
    rows = [f"cafe-lover,c0,Cafe,40.7,-74,{stamp.format(8, m)},s" for m in range(15)]
    for user in range(6):
        rows += [
            f"u{user},b{n % 8},Bar,40.7,-74.000{n % 8},{stamp.format(10 + user, n)},s"
            for n in range(24)
        ]
    story = load_checkins(write_csv(tmp_path, *rows)).story(0.0)
    assert (story.user_id, story.category) == ("cafe-lover", "Bar")
    events = story.events(1_700_000_000.0)
    assert [e["event_type"] for e in events] == ["visit"] * 3
    assert len({e["place_id"] for e in events}) == 3
