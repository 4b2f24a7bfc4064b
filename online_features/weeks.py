"""Weekly hours of many places: most share theirs with many others, and each kind is kept once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from online_features.growing import NONE, padded, roomy
from online_features.opening import DAY_MIN, HOLIDAY, week_spans

#: Each kind of day (Monday to Sunday, and the public holiday) has a block of two days, the second
#: for spans that run past midnight.
BLOCK_MIN = 2 * DAY_MIN
#: Of weeks that no place has any more, so many are kept, or as many as there are places.
MOST_UNUSED = 1_024
#: Texts of weeks that need not be read again.
_WEEKS_KEPT = 4_096

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Read(NamedTuple):
    """Weekly hours of n places.

    Attributes:
        week: int32[n], which of the weeks each place has.
        spans: int32[weeks, s, 2], minutes in the blocks of their days; `NONE` pads.
        known: bool[n], whether weekly hours are stated at all.
        holiday_known: bool[n], whether those of public holidays are.
    """

    week: NDArray[np.int32]
    spans: NDArray[np.int32]
    known: Flags
    holiday_known: Flags


@dataclass(frozen=True)
class Week:
    """What one place states.

    Attributes:
        spans: minutes in the blocks of their days.
        flags: whether weekly hours are stated at all, and whether those of public holidays are.
        hashed: of both.
    """

    spans: Sequence[tuple[int, int]]
    flags: tuple[bool, bool]
    hashed: int

    @classmethod
    def of(cls, weekly: Mapping[str, list[str]] | None) -> "Week":
        """Read and check weekly hours; None where none are stated.

        Raises:
            BadEvent: they say what cannot be; names the field.
        """
        if weekly is None:
            return _UNSTATED
        return _read(tuple((day, *spans) for day, spans in weekly.items()))

    @classmethod
    def saying(cls, spans: Sequence[tuple[int, int]], flags: tuple[bool, bool]) -> "Week":
        """A week with its hash."""
        return cls(spans, flags, xxhash.xxh3_64_intdigest(repr((spans, flags)).encode()))


_UNSTATED = Week.saying([], (False, False))


@lru_cache(_WEEKS_KEPT)
def _read(stated: tuple[tuple[str, ...], ...]) -> Week:
    spans = week_spans({day: list(spans) for day, *spans in stated})
    holiday = any(day == HOLIDAY for day, *_ in stated)
    return Week.saying(sorted(_in_block(span) for span in spans), (True, holiday))


@dataclass
class _Held:
    """What belongs together; replaced as a whole where numbers of weeks change.

    Attributes:
        week: int32[rows], the week of each place; 0 where nothing is known.
        spans: int32[weeks, s, 2].
        flags: bool[weeks, 2], `known` and `holiday_known`.
        codes: the number of each week, by a hash of what it says.
    """

    week: NDArray[np.int32]
    spans: NDArray[np.int32]
    flags: Flags
    codes: dict[int, int]


class Weeks:
    """Weekly hours by row; one writer at a time, any number of readers."""

    def __init__(self) -> None:
        self._rows = 0
        self._held = _Held(
            np.zeros(1024, np.int32),
            np.full((16, 7, 2), NONE, np.int32),
            np.zeros((16, 2), bool),
            {_UNSTATED.hashed: 0},
        )

    def __len__(self) -> int:
        """Rows that a reader may ask for."""
        return len(self._held.week)

    def write(self, row: int, week: Week) -> None:
        """Take over the hours of a place."""
        self._rows = max(self._rows, row + 1)
        held = self._held
        if len(held.codes) > 2 * self._rows + MOST_UNUSED:
            self._held = held = self._in_use()
        code = held.codes.get(week.hashed)
        if code is None:
            code = held.codes[week.hashed] = len(held.codes)
            held.spans = roomy(held.spans, (code + 1, len(week.spans), 2))
            held.flags = roomy(held.flags, (code + 1, 2))
            held.spans[code] = padded(week.spans, held.spans.shape[1:])
            held.flags[code] = week.flags
        if row >= len(held.week):
            held.week = roomy(held.week, (row + 1,), fill=0)
        held.week[row] = code

    def read(self, rows: Rows) -> Read:
        """Hours of rows, each below `len(self)`."""
        held = self._held
        week = held.week[rows]
        return Read(week, held.spans, held.flags[week, 0], held.flags[week, 1])

    def _in_use(self) -> _Held:
        """The same without the weeks that no place has any more; the first stays, for no hours."""
        held = self._held
        used, week = np.unique(np.r_[0, held.week], return_inverse=True)
        number = {code: i for i, code in enumerate(used.tolist())}
        codes = {key: number[code] for key, code in held.codes.items() if code in number}
        return _Held(week[1:].astype(np.int32), held.spans[used], held.flags[used], codes)


def _in_block(span: tuple[int, int]) -> tuple[int, int]:
    """A span of the week as one of its day's block."""
    start, end = span
    shift = start // DAY_MIN * (BLOCK_MIN - DAY_MIN)
    return start + shift, end + shift
