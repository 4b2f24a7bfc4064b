"""What plots are drawn from, and that they are plain, repeatable SVG."""

from types import SimpleNamespace
from typing import Any

import h3
import numpy as np
import pytest

from models.fitting import Epoch
from models.plots import (
    bins_of_pair,
    calibration,
    calibration_bins,
    coverage_cells,
    coverage_map,
    losses,
)


def pair(said: np.ndarray, target: np.ndarray) -> Any:
    """Answers whose place `i` stands at position `i`, with these probabilities."""
    rows = np.tile(np.arange(said.shape[1]), (len(said), 1))
    moments = SimpleNamespace(place=target, user=np.arange(len(said), dtype=np.uint64))
    ranked = SimpleNamespace(rows=rows, probability=said.astype(np.float32))
    return SimpleNamespace(
        judged=SimpleNamespace(ranked=ranked), holdout=SimpleNamespace(moments=moments)
    )


def test_bins_hold_as_many_places_each_and_tell_the_share_chosen() -> None:
    """Place 0 is given 0.5 and chosen in half of the requests, place 1 is given 0.1 and never."""
    said = np.tile([0.5, 0.1], (40, 1))
    target = np.where(np.arange(40) % 2, 0, 7)
    chosen = np.arange(2) == target[:, None]
    user = np.repeat(np.arange(40), 2)
    low, high = calibration_bins(said.ravel(), chosen.ravel(), user, bins=2)
    assert (low.places, high.places) == (40, 40)
    assert [low.said, high.said] == pytest.approx([0.1, 0.5])
    assert [low.chosen.value, high.chosen.value] == [0.0, 0.5]
    assert high.chosen.low < 0.5 < high.chosen.high
    assert "<svg" in calibration([low, high])


def test_the_bins_of_a_pair_are_of_all_that_it_ranked() -> None:
    """Two places for each of 40 requests: ten bins of eight; padding does not count."""
    answered = pair(np.tile([0.5, 0.1], (40, 1)), np.zeros(40, np.int64))
    assert [one.places for one in bins_of_pair(answered)] == [8] * 10
    answered.judged.ranked.rows[:, 1] = -1
    bins = bins_of_pair(answered)
    assert {(one.places, one.chosen.value) for one in bins} == {(4, 1.0)}


def test_cells_count_the_places_in_them() -> None:
    """Two towns far apart: one of four places, one of them shown; one of two, none shown."""
    lat = np.array([40.0, 40.0, 40.0, 40.0, 50.0, 50.0, np.nan])
    lng = np.array([-74.0, -74.0, -74.0, -74.0, 8.0, 8.0, 8.0])
    shown = np.array([True, False, False, False, False, False, True])
    cells = coverage_cells(lat, lng, shown)
    assert sorted((cell.places, cell.shown) for cell in cells) == [(2, 0), (4, 1)]
    assert all(h3.is_valid_cell(cell.id) for cell in cells)
    svg = coverage_map(cells)
    assert "fill-opacity: 0.25" in svg
    assert "fill-opacity: 0" in svg


def test_the_same_data_give_the_same_picture() -> None:
    """To the byte: no date, no random ids, no word of who made it; text stays text."""
    epochs = [Epoch(n, 2.0 - n, 2.5 - n, 0.1) for n in range(2)]
    first = losses({"ranker": epochs})
    assert first == losses({"ranker": epochs})
    assert "metadata" not in first
    assert "validation loss</text>" in first
