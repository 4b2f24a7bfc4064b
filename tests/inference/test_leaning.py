"""What a reason weighs, from scores that are known."""

import numpy as np

from contracts.signatures import PARTS
from inference.leaning import Inputs, leaned_on
from inference.reason_groups import GROUPS
from inference.reasons import Reason
from online_features.request import RANKING_COLUMNS

WIDTH = len(RANKING_COLUMNS)
NEAR, BUSY = GROUPS["NEAR"], GROUPS["BUSY_NOW"]


def inputs() -> Inputs:
    """Three places: every input of place i is i, but nothing was told of place 2."""
    of_place = np.arange(3, dtype=np.float32)[:, None]
    parts = np.repeat(of_place, len(PARTS), axis=1)
    parts[2] = np.nan
    return Inputs(np.repeat(of_place, WIDTH, axis=1), parts)


def test_the_usual_place_is_the_median() -> None:
    """Of the parts among those places of which they were told; of none where nothing was told."""
    usual = inputs().usual()
    assert usual.features.tolist() == [[1.0] * WIDTH]
    assert usual.parts.tolist() == [[0.5] * len(PARTS)]
    untold = Inputs(inputs().features, np.full((3, len(PARTS)), np.nan, np.float32))
    assert np.isnan(untold.usual().parts).all()


def test_a_copy_is_as_usual_in_its_group_alone() -> None:
    """Place by place in the order asked for; the places themselves stay as they are."""
    whole = inputs()
    copies = whole.occluded([(0, NEAR), (0, BUSY), (2, NEAR)], whole.usual())
    for row, (own, group) in enumerate(((0.0, NEAR), (0.0, BUSY), (2.0, NEAR))):
        expected = np.full(WIDTH, own)
        expected[group.column_at] = 1.0
        assert copies.features[row].tolist() == expected.tolist()
    told = np.zeros(len(PARTS))
    told[NEAR.part_at] = 0.5
    assert copies.parts[0].tolist() == told.tolist()
    assert whole.features.tolist() == inputs().features.tolist()


def test_what_was_not_told_of_a_place_stays_untold() -> None:
    """The ranker's own stand-in for it is not the usual place of this request."""
    whole = inputs()
    copies = whole.occluded([(2, NEAR)], whole.usual())
    assert np.isnan(copies.parts).all()


def reasons(*codes: str) -> list[Reason]:
    return [Reason(code, code.lower()) for code in codes]


def weights(held: list[Reason], *falls: float, least: float = 0.0) -> dict[str, float | None]:
    return {r.code: r.weight for r in leaned_on(held, iter(falls), least)}


def test_a_reason_that_does_not_raise_the_score_is_dropped() -> None:
    """Nor is one that lowers it, or raises it by next to nothing."""
    held = reasons("NEAR", "TRENDING", "WELL_RATED", "BUSY_NOW")
    said = weights(held, 0.5, 0.0, -0.25, 0.01, least=0.01)
    assert said == {"NEAR": 0.5}


def test_the_wider_reason_weighs_what_the_narrower_does_not() -> None:
    """Of 1.0 for all visits here, 0.75 is that they were at this hour."""
    held = reasons("USUAL_HOUR", "VISITED_BEFORE")
    assert weights(held, 0.75, 1.0) == {"USUAL_HOUR": 0.75, "VISITED_BEFORE": 0.25}
    assert weights(held, 0.75, 0.75) == {"USUAL_HOUR": 0.75}


def test_a_narrower_reason_that_is_not_given_takes_nothing_off() -> None:
    """Visits at this hour lower the score here: all visits still raise it by 1.0."""
    assert weights(reasons("USUAL_HOUR", "VISITED_BEFORE"), -0.5, 1.0) == {"VISITED_BEFORE": 1.0}
    assert weights(reasons("VISITED_BEFORE"), 1.0) == {"VISITED_BEFORE": 1.0}


def test_what_is_told_already_is_not_told_again() -> None:
    """A kind of place that one likes, and like a place of that kind: the same inputs."""
    held = reasons("LIKE_VISITED", "LIKES_CATEGORY")
    assert weights(held, 0.5, 0.5) == {"LIKE_VISITED": 0.5}
    assert weights(reasons("LIKES_CATEGORY"), 0.5) == {"LIKES_CATEGORY": 0.5}


def test_falls_are_taken_one_for_each_reason() -> None:
    """So that the places of an answer share one list of them."""
    falls = iter([1.0, 2.0, 3.0])
    first = leaned_on(reasons("NEAR", "TRENDING"), falls, 0.0)
    second = leaned_on(reasons("NEAR"), falls, 0.0)
    assert [r.weight for r in (*first, *second)] == [1.0, 2.0, 3.0]
