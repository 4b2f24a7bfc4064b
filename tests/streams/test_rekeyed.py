"""Counted interactions on their way to their places: all of them, once, in order."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import id64, partition_of
from online_features.columns import EventColumns
from streams.by_place import unseen
from streams.decode import Interactions
from streams.rekeyed import MOST_ROWS, ROW, Rekeyed

PARTITIONS = 4


def counted(places: list[str]) -> Rekeyed:
    """One interaction with each place, all different, by their batch's columns."""
    n = len(places)
    columns: dict[str, Any] = {
        "user": np.arange(n) + 10,
        "place": [id64(place) for place in places],
        "kind": np.arange(n) % 4,
        "time_s": np.arange(n) + 0.25,
        "rating": np.where(np.arange(n) % 2, 3.5, np.nan),
        "age_group": np.arange(n) % 3 - 1,
        "dwell_s": np.arange(n) * 60.0,
    }
    batch = Interactions(
        partition=[i % 3 for i in range(n)], offset=list(range(100, 100 + n)), place_id=places
    )
    return Rekeyed.of(batch, EventColumns.of(**columns), np.arange(n))


def test_a_message_keeps_every_column() -> None:
    """Packed and read again; what a place does not need is unknown."""
    sent = counted(["a", "ü", "7"])
    read = Rekeyed.decode(sent.encode())
    assert read.place_ids == ["a", "ü", "7"]
    assert read.rows.tobytes() == sent.rows.tobytes()
    columns = read.columns()
    assert columns.place.tolist() == [id64("a"), id64("ü"), id64("7")]
    assert columns.time_s.tolist() == [0.25, 1.25, 2.25]
    assert np.isnan(columns.rating).tolist() == [True, False, True]
    assert np.isnan(columns.lat).all()


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), max_size=40))
def test_each_goes_to_its_place_partition_in_order(places: list[str]) -> None:
    """None is lost or doubled, and each part keeps the order of the batch."""
    parts = list(counted(places).by_partition(PARTITIONS))
    offsets = {p: part.rows["source_offset"].tolist() for p, part in parts}
    assert {
        p: [100 + i for i, place in enumerate(places) if partition_of(place, PARTITIONS) == p]
        for p in offsets
    } == offsets
    assert sum(map(len, offsets.values())) == len(places)


def test_a_message_is_bounded() -> None:
    """A hot place has more events in a batch than one message may hold."""
    parts = list(counted(["hot" * 40] * (2 * MOST_ROWS + 1)).by_partition(PARTITIONS))
    assert [len(part) for _, part in parts] == [MOST_ROWS, MOST_ROWS, 1]
    assert max(len(part.encode()) for _, part in parts) < 500_000


def test_a_message_with_another_number_of_ids_is_refused() -> None:
    """Then nobody can say which place an event belongs to."""
    sent = counted(["a", "b"])
    broken = Rekeyed(sent.rows, ["a"]).encode()
    with pytest.raises(ValueError, match="2 rows, but 1 place ids"):
        Rekeyed.decode(broken)


def test_only_what_lies_above_the_watermark_is_new() -> None:
    """By hand: a stretch sent again after a crash, in two sources, one of them unheard of."""
    rows = np.zeros(7, ROW)
    rows["source_partition"] = [0, 0, 5, 0, 0, 5, 0]
    rows["source_offset"] = [7, 9, 2, 7, 9, 4, 12]
    new, marks = unseen(rows, {0: 7, 3: 80})
    assert new.tolist() == [False, True, True, False, False, True, True]
    assert marks == {0: 12, 5: 4}
    again, unmoved = unseen(rows, {0: 12, 5: 4})
    assert not again.any()
    assert unmoved == {}
