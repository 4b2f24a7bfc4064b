"""Choice sets of served answers: who stands where, what counts, and what chance changes."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax

from models.choice_sets import SET
from models.listwise import NOT_THERE
from models.shown_choices import Table
from online_features.catalogue import Catalogue
from online_features.impressions import ImpressionLog
from tests.models.answers import shown_of
from tests.models.logs import catalogue_of

PLACES = catalogue_of(dict.fromkeys("abcdef", (40.0, -74.0)))


def table_of(
    answers: ImpressionLog, chosen: list[int], later: tuple[int, ...] = (), of: Catalogue = PLACES
) -> Table:
    """Of answers of which some positions among all shown were chosen, and some visited later."""
    return Table.of(answers, np.array(chosen), np.isin(np.arange(len(answers.place)), later), of)


def test_the_choice_comes_first_and_the_others_keep_their_order() -> None:
    """Of `abc` c was chosen: c a b; of `fd` f: f d."""
    table = table_of(shown_of([("u", 0, "abc"), ("v", 5, "fd")]), [2, 3])
    assert table.places[:, :4].tolist() == [[2, 0, 1, -1], [5, 3, -1, -1]]
    assert table.there[:, :4].tolist() == [[True, True, True, False], [True, True, False, False]]
    assert not table.there[:, 4:].any()
    assert table.teaches.tolist() == [True, True]
    features = np.arange(5)[:, None] + [[10, 1e6]]
    spread = table.spread(features, -1.0)
    assert spread[0, :4, 0].tolist() == [12, 10, 11, -1]
    assert spread[1, :3, 0].tolist() == [13, 14, -1]
    assert table.width == 3
    assert table.log_expected[0, :4].tolist() == [0, 0, 0, NOT_THERE]


def test_what_was_visited_later_or_is_no_place_any_more_does_not_count() -> None:
    """Neither was a wrong answer; with nothing else beside the choice there is nothing to learn."""
    shown = shown_of([("u", 0, "abc"), ("u", 5, ("a", "gone")), ("u", 9, ("gone", "a"))])
    table = table_of(shown, [0, 3, 5], later=(2,))
    assert table.there[:, :3].tolist() == [
        [True, True, False],
        [True, False, False],
        [False, True, False],
    ]
    assert table.teaches.tolist() == [True, False, False]


def test_a_long_answer_is_cut_where_it_was_not_the_choice_that_decided() -> None:
    """The first `SET` places stay; a choice behind them teaches nothing, one among them all."""
    names = [f"p{i}" for i in range(SET + 3)]
    catalogue = catalogue_of(dict.fromkeys(names, (40.0, -74.0)))
    shown = shown_of([("u", 0, names), ("v", 1, names)])
    table = table_of(shown, [SET - 1, 2 * (SET + 3) - 1], of=catalogue)
    assert table.places[0].tolist() == [SET - 1, *range(SET - 1)]
    assert table.teaches.tolist()[0] is True
    assert table.places[1].tolist()[1:] == list(range(SET - 1))
    assert table.spread(np.ones((2 * (SET + 3), 1)), 0.0).shape == (2, SET, 1)
    assert table.width == SET


def _answers_with_a_chance_slot(
    truth: NDArray[np.float64], rng: np.random.Generator, count: int
) -> tuple[ImpressionLog, NDArray[np.int64], Catalogue]:
    """Three certain places and one drawn of 200; the user takes one by the multinomial logit.

    truth: what a certain place, and a drawn one, is worth.
    """
    names = [f"p{i:03}" for i in range(203)]
    catalogue = catalogue_of(dict.fromkeys(names, (40.0, -74.0)))
    drawn = rng.integers(3, 203, count)
    shown = shown_of([("u", i, (*names[:3], names[d])) for i, d in enumerate(drawn)])
    shown = replace(shown, propensity=np.tile([1.0, 1.0, 1.0, 1 / 200], count))
    chance = softmax([truth[0]] * 3 + [truth[1]])
    chosen = 4 * np.arange(count) + rng.choice(4, count, p=chance)
    return shown, chosen, catalogue


def _fitted(table: Table, log_expected: NDArray[np.float64]) -> float:
    """What a drawn place is worth more than a certain one, by the loss of `models.listwise`."""
    drawn = table.places >= 3

    def loss(worth: float) -> float:
        logit = worth * drawn - log_expected
        return float((logsumexp(logit, axis=1) - logit[:, 0]).mean())

    return float(minimize_scalar(loss, bounds=(-15, 15), method="bounded").x)


def test_chance_in_what_was_shown_does_not_bend_what_is_learned() -> None:
    """The truth comes out as it is; dividing by propensities would be off by log 200 = 5.3."""
    rng = np.random.default_rng(8)
    shown, chosen, catalogue = _answers_with_a_chance_slot(np.array([0.5, 1.2]), rng, 6_000)
    table = table_of(shown, chosen.tolist(), of=catalogue)
    as_built = table.log_expected.astype(np.float64)
    # Standard error of the estimate: 1 / sqrt(6000 p (1 - p)), p = .4.
    assert _fitted(table, as_built) == pytest.approx(0.7, abs=4 * 0.026)
    divided = np.where(table.there & (table.places >= 3), np.log(1 / 200), as_built)
    assert _fitted(table, divided) == pytest.approx(0.7 - np.log(200), abs=4 * 0.026)
