"""Weekly hours, each kind kept once."""

import numpy as np

from online_features.weeks import BLOCK_MIN, MOST_UNUSED, Week, Weeks


def test_the_same_hours_are_kept_once_and_read_back() -> None:
    """In whatever order the days are stated; places without hours share theirs, too."""
    weeks = Weeks()
    weeks.write(0, Week.of({"mon": ["09:00-12:00"], "tue": ["10:00-11:00"]}))
    weeks.write(1, Week.of({"tue": ["10:00-11:00"], "mon": ["09:00-12:00"]}))
    weeks.write(2, Week.of(None))
    weeks.write(3, Week.of({}))
    weeks.write(4, Week.of({"holiday": ["00:00-24:00"]}))
    read = weeks.read(np.arange(5))
    assert len(weeks._held.codes) == 4
    spans = read.spans[read.week]
    assert spans[0, :2].tolist() == [[540, 720], [BLOCK_MIN + 600, BLOCK_MIN + 660]]
    assert (spans[0] == spans[1]).all()
    assert read.known.tolist() == [True, True, False, True, True]
    assert read.holiday_known.tolist() == [False, False, False, False, True]


def test_weeks_that_no_place_has_any_more_are_forgotten() -> None:
    """A place that changes its hours for ever takes no more memory; others keep theirs."""
    weeks = Weeks()
    weeks.write(0, Week.of({"sun": ["08:00-09:00"]}))
    for i in range(4 * MOST_UNUSED):
        hour, minute = divmod(i % 1_400, 60)
        day = ("mon", "tue", "wed")[i // 1_400]
        weeks.write(1, Week.of({day: [f"{hour:02d}:{minute:02d}-23:59"]}))
    assert len(weeks._held.codes) <= MOST_UNUSED + 10
    read = weeks.read(np.arange(2))
    first, last = read.spans[read.week][:, 0].tolist()
    assert first == [6 * BLOCK_MIN + 480, 6 * BLOCK_MIN + 540]
    assert last == [2 * BLOCK_MIN + (4 * MOST_UNUSED - 1) % 1_400, 2 * BLOCK_MIN + 1_439]
