"""Choice sets: what stands in them, how often it is expected, and that no row knows its future."""

import numpy as np
import pytest

from models import choice_sets as module
from models import set_drawing
from models.choice_sets import ChoiceSets, choice_sets
from models.dataset import situations
from models.merged_sets import joined
from models.set_drawing import DRAWN, KNOWN, NOT_THERE
from online_features.columns import VISIT
from online_features.request import RANKING_COLUMNS
from tests.models.conftest import Data
from tests.models.drawn_sets import drawn_sets


@pytest.fixture(scope="module")
def sets(data: Data) -> ChoiceSets:
    """Three hundred sets from the middle of the log."""
    return drawn_sets(data, 300)


def test_a_set_holds_the_choice_the_known_and_some_others(sets: ChoiceSets, data: Data) -> None:
    """Known places are those of the user's visits before the moment, each once."""
    assert sets.places.shape == (300, 1 + KNOWN + DRAWN)
    np.testing.assert_array_equal(sets.places[:, 0], sets.moments.place)
    rows = data.catalogue.rows_of(data.log.place)
    for i in range(0, 300, 37):
        before = slice(0, int(sets.moments.before[i]))
        own = (data.log.user[before] == sets.moments.user[i]) & (data.log.kind[before] == VISIT)
        visited = set(rows[before][own].tolist()) - {-1}
        known = sets.places[i, 1 : 1 + KNOWN]
        found = known[known >= 0].tolist()
        assert len(found) == len(set(found))
        assert set(found) <= visited
        assert len(visited) > KNOWN or set(found) == visited


def test_no_place_counts_twice_but_by_its_expected_count(sets: ChoiceSets) -> None:
    """The chosen one is struck from the known and the drawn; the known from the drawn."""
    counts = sets.log_expected < NOT_THERE
    assert counts[:, 0].all()
    again = (sets.places[:, 1:] == sets.places[:, :1]) & counts[:, 1:]
    assert not again.any()
    known, drawn = sets.places[:, 1 : 1 + KNOWN], sets.places[:, 1 + KNOWN :]
    both = (drawn[:, :, None] == known[:, None, :]).any(axis=2)
    assert not (both & counts[:, 1 + KNOWN :]).any()


def test_expected_counts_add_up_to_what_is_drawn(data: Data, sets: ChoiceSets) -> None:
    """Averaged over draws, sum over drawn places of 1 / expected is the number of the places.

    Each place p is drawn e(p) times on average, so that the sum of 1 / e(p) over the drawn ones has
    the expectation of the sum of e(p) / e(p) over all that can be drawn.
    """
    counted = sets.log_expected[:, 1 + KNOWN :]
    total = np.where(counted < NOT_THERE, np.exp(-counted), 0.0).sum(axis=1)
    # What counts are the places that are neither known nor chosen.
    known = (sets.places[:, 1 : 1 + KNOWN] >= 0).sum(axis=1)
    assert total.mean() == pytest.approx((len(data.catalogue) - known - 1).mean(), rel=0.1)


def test_a_row_knows_nothing_of_what_follows(sets: ChoiceSets, data: Data) -> None:
    """The same features from a log that ends just before the newest moment."""
    cut = int(sets.moments.before[-1]) + 1
    again = drawn_sets(data, 300)
    shorter = data.log.take(slice(0, cut))
    at = situations(data.context, data.catalogue, sets.moments, stale_s=10_800)
    rng = np.random.default_rng(2)
    short = joined(choice_sets(shorter, data.catalogue, sets.moments, at, rng))
    np.testing.assert_array_equal(again.features, sets.features)
    np.testing.assert_array_equal(short.places, sets.places)
    np.testing.assert_array_equal(short.features, sets.features)
    assert short.features.shape[2] == len(RANKING_COLUMNS)


def test_sets_are_the_same_in_whatever_pieces_they_are_made(
    data: Data, sets: ChoiceSets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn some at a time, other places are drawn, too; what is known stays."""
    monkeypatch.setattr(module, "AT_ONCE", 70)
    again = drawn_sets(data, 300)
    for name in ("places", "log_expected", "features", "crowd", "users"):
        np.testing.assert_array_equal(getattr(again, name), getattr(sets, name))
    monkeypatch.setattr(set_drawing, "DRAWN_AT_ONCE", 130)
    other = drawn_sets(data, 300)
    known = slice(0, 1 + KNOWN)
    np.testing.assert_array_equal(other.places[:, known], sets.places[:, known])
    np.testing.assert_array_equal(other.features[:, known], sets.features[:, known])
    assert (other.places[:130] == sets.places[:130]).all(axis=1).mean() < 0.1
