"""Figures of peers, from rates and times that are known."""

import numpy as np
import pytest

from benchmarks.peers import reads, streaming
from online_features.definitions import PLACE


def test_the_stream_is_a_ratio_to_each_peer() -> None:
    """Round by round; a peer that is faster shows as less than one."""
    found = {
        "placestream": [100.0, 90.0],
        "A on visits": [50.0, 30.0],
        "B on visits": [200.0, 180.0],
    }
    medians = {f.name: f.median for f in streaming.figures(found)}
    assert medians["placestream / A on visits"] == pytest.approx(2.5)
    assert medians["placestream / B on visits"] == pytest.approx(0.5)


def test_without_peers_only_placestream_is_left() -> None:
    """No ratio to nobody."""
    assert [f.name for f in streaming.figures({"placestream": [1.0]})] == ["placestream"]
    found = reads.figures({reads.OWN: [[1.0, 2.0]]})
    assert [f.name for f in found] == ["placestream p50", "placestream p99"]


def test_reads_are_percentiles_of_each_round() -> None:
    """Of 1 to 101 ms the middle is 51 and p99 is 100; a peer three times as slow: a ratio of 3."""
    own = [[float(ms) for ms in range(1, 102)]]
    found = {reads.OWN: own, reads.FEAST_ROWS: [[3.0 * ms for ms in own[0]]]}
    medians = {f.name: f.median for f in reads.figures(found)}
    assert medians["placestream p50"] == 51
    assert medians["placestream p99"] == 100
    assert medians[f"{reads.FEAST_ROWS} p99 / placestream"] == pytest.approx(3)


def test_rows_to_read_are_places_with_a_history() -> None:
    """As many as asked for, each with visits."""
    ids, packed, values = reads.rows_of(20, 1.8e9)
    assert len(ids) == len(packed) == len(values) == 20
    assert len(np.unique(packed)) == 20
    assert (values[:, PLACE.index["since_visit_s"]] > 0).all()
