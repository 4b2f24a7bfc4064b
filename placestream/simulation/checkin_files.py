"""Reading files of check-ins and venues, line by line, with errors that name the line."""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TextIO

from contracts.events import EARLIEST_S
from contracts.ids import BadId, canonical_id

CSV_COLUMNS = ("user_id", "venue_id", "category", "lat", "lng", "timestamp")
#: Columns of the TSMC2014 files, in order.
TSMC_COLUMNS = (
    "userId", "venueId", "venueCategoryId", "venueCategory", "latitude", "longitude",
    "timezoneOffset", "utcTimestamp",
)  # fmt: skip
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MOST_OFFSET_MIN = 14 * 60
_MOST_TEXT = 512


class BadCheckIns(ValueError):
    """A file of check-ins cannot be used.

    Attributes:
        path: the file.
        line: number of the line, from 1.
        column: name of the column, empty where the whole line is at fault.
    """

    def __init__(self, path: Path, line: int, column: str, reason: str) -> None:
        where = f"column {column}: " if column else ""
        super().__init__(f"{path}, line {line}: {where}{reason}")
        self.path, self.line, self.column = path, line, column


@dataclass(frozen=True)
class Venue:
    """A venue; empty text and NaN stand for what is not known."""

    id: str
    category: str
    lat: float
    lng: float
    name: str = ""
    time_zone: str = ""


@dataclass(frozen=True)
class CheckIn:
    """A user was at a venue; Unix seconds."""

    user_id: str
    venue: Venue
    time_s: float


@dataclass(frozen=True)
class _Line:
    """Cells of one line by column, and where it stands."""

    path: Path
    number: int
    cells: dict[str, str]

    def bad(self, column: str, reason: str) -> BadCheckIns:
        return BadCheckIns(self.path, self.number, column, reason)

    def id(self, column: str) -> str:
        try:
            return canonical_id(self.cells[column].strip())
        except BadId as error:
            raise self.bad(column, str(error)) from error

    def text(self, column: str) -> str:
        value = self.cells[column].strip()
        if len(value) > _MOST_TEXT:
            raise self.bad(column, f"longer than {_MOST_TEXT} characters")
        return value

    def degrees(self, column: str, most: float) -> float:
        text = self.cells[column]
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not -most <= value <= most:
            raise self.bad(column, f"expected degrees within +-{most:g}, got {text!r}")
        return value


def read_checkins(path: Path) -> Iterator[CheckIn]:
    """Yield the check-ins of a file in its order; see `checkins.load_checkins` for the formats.

    Raises:
        BadCheckIns: names file, line and column.
        OSError: the file cannot be opened.
    """
    with _opened(path, "latin-1") as file, _blamed(path):
        first = file.readline()
    if first.count("\t") == len(TSMC_COLUMNS) - 1:
        yield from map(_tsmc_checkin, _tsmc_lines(path))
    else:
        yield from map(_csv_checkin, _csv_lines(path, CSV_COLUMNS))


def read_venues(path: Path) -> dict[str, Venue]:
    """Read a CSV of venues by id: `venue_id`, `name`, and maybe `category`, `lat`, `lng`.

    Raises:
        BadCheckIns: names file, line and column.
        OSError: the file cannot be opened.
    """
    venues = {}
    for line in _csv_lines(path, ("venue_id", "name")):
        placed = "lat" in line.cells and "lng" in line.cells
        venues[line.id("venue_id")] = Venue(
            id=line.id("venue_id"),
            category=line.text("category") if "category" in line.cells else "",
            lat=line.degrees("lat", 90) if placed else math.nan,
            lng=line.degrees("lng", 180) if placed else math.nan,
            name=line.text("name"),
        )
    return venues


def fixed_zone(hours: float) -> str:
    """IANA name of a fixed offset to the nearest full hour; the name's sign is the other way."""
    whole = math.floor(hours + 0.5)
    return "Etc/GMT" if whole == 0 else f"Etc/GMT{-whole:+d}"


def _csv_checkin(line: _Line) -> CheckIn:
    lng = line.degrees("lng", 180)
    venue = Venue(
        id=line.id("venue_id"),
        category=line.text("category"),
        lat=line.degrees("lat", 90),
        lng=lng,
        time_zone=fixed_zone(max(-12.0, lng / 15)),
    )
    return CheckIn(line.id("user_id"), venue, _iso_s(line, "timestamp"))


def _iso_s(line: _Line, column: str) -> float:
    text = line.cells[column]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise line.bad(
            column, f"expected a time like 2012-04-03T18:00:09Z, got {text!r}"
        ) from error
    return _not_before_2000(line, column, moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _tsmc_checkin(line: _Line) -> CheckIn:
    venue = Venue(
        id=line.id("venueId"),
        category=line.text("venueCategory"),
        lat=line.degrees("latitude", 90),
        lng=line.degrees("longitude", 180),
        time_zone=fixed_zone(_offset_min(line) / 60),
    )
    return CheckIn(line.id("userId"), venue, _tsmc_s(line, "utcTimestamp"))


def _offset_min(line: _Line) -> int:
    text = line.cells["timezoneOffset"]
    try:
        minutes = int(text)
    except ValueError:
        minutes = _MOST_OFFSET_MIN + 1
    if not -12 * 60 <= minutes <= _MOST_OFFSET_MIN:
        raise line.bad("timezoneOffset", f"expected minutes within -720..840, got {text!r}")
    return minutes


def _tsmc_s(line: _Line, column: str) -> float:
    """`Tue Apr 03 18:00:09 +0000 2012`, read by hand: strptime's names follow the locale."""
    text = line.cells[column].strip()
    try:
        _, month, day, clock, offset, year = text.split()
        hour, minute, second = clock.split(":")
        east = timedelta(hours=int(offset[:3]), minutes=int(offset[0] + offset[3:5]))
        moment = datetime(
            int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second),
            tzinfo=timezone(east),
        )  # fmt: skip
    except ValueError as error:
        wanted = "a time like Tue Apr 03 18:00:09 +0000 2012"
        raise line.bad(column, f"expected {wanted}, got {text!r}") from error
    return _not_before_2000(line, column, moment)


def _not_before_2000(line: _Line, column: str, moment: datetime) -> float:
    time_s = moment.timestamp()
    if time_s < EARLIEST_S:
        raise line.bad(column, f"{moment.isoformat()} lies before 2000-01-01")
    return time_s


def _csv_lines(path: Path, needed: tuple[str, ...]) -> Iterator[_Line]:
    with _opened(path, "utf-8-sig") as file, _blamed(path) as reached:
        reader = csv.reader(file, strict=True)
        header = [cell.strip() for cell in next(reader, [])]
        for column in needed:
            if column not in header:
                raise BadCheckIns(path, 1, column, f"is missing; the header is {header}")
        for cells in reader:
            reached[0] = reader.line_num
            if not cells:
                continue
            if len(cells) != len(header):
                reason = f"expected {len(header)} cells, got {len(cells)}"
                raise BadCheckIns(path, reader.line_num, "", reason)
            yield _Line(path, reader.line_num, dict(zip(header, cells, strict=True)))


def _tsmc_lines(path: Path) -> Iterator[_Line]:
    with _opened(path, "latin-1") as file, _blamed(path) as reached:
        for number, text in enumerate(file, start=1):
            reached[0] = number
            if not text.strip():
                continue
            cells = text.rstrip("\r\n").split("\t")
            if len(cells) != len(TSMC_COLUMNS):
                reason = f"expected {len(TSMC_COLUMNS)} cells, got {len(cells)}"
                raise BadCheckIns(path, number, "", reason)
            yield _Line(path, number, dict(zip(TSMC_COLUMNS, cells, strict=True)))


@contextmanager
def _opened(path: Path, encoding: str) -> Iterator[TextIO]:
    """The file as text, unzipped if it begins as gzip does, whatever its name."""
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        plain = gzip.GzipFile(fileobj=raw) if zipped else raw
        yield io.TextIOWrapper(plain, encoding=encoding, newline="")


@contextmanager
def _blamed(path: Path) -> Iterator[list[int]]:
    """Turn errors of decoding, unzipping and csv into `BadCheckIns` after the line reached."""
    reached = [0]
    try:
        yield reached
    except UnicodeDecodeError as error:
        raise BadCheckIns(
            path, reached[0] + 1, "", f"at or after it: not UTF-8: {error}"
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadCheckIns(
            path, reached[0] + 1, "", f"at or after it: damaged gzip: {error}"
        ) from error
    except csv.Error as error:
        raise BadCheckIns(path, reached[0] + 1, "", str(error)) from error
