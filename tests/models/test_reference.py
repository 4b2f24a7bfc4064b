"""References of drift: bins, how they swing with the week, how alike answers are, the file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.likeness import Likeness, crowding
from models.reference import FILE, Reference, answer_shares, bins_of, quantile_edges, reference_of
from models.reference_file import read_reference, write_reference
from models.served_answers import Answers, error_of
from models.targets import Targets
from tests.models.test_targets import drawn

HOUR_S, DAY_S, WEEK_S = 3_600.0, 86_400.0, 604_800.0
MISSING = np.float32(np.nan)


def single(values: np.ndarray, time_s: np.ndarray, user: np.ndarray | None = None) -> Answers:
    """Answers of one place each; every one of another user if none is told."""
    users = np.arange(len(values)) if user is None else user
    return Answers(values, np.arange(len(values) + 1), time_s, users.astype(np.uint64))


def over_weeks(rng: np.random.Generator, n: int, weeks: int = 2) -> np.ndarray:
    return np.sort(rng.uniform(0, weeks * WEEK_S, n))


def test_a_continuous_column_falls_into_ten_equal_bins() -> None:
    """Of 1..100 each decile holds ten values; bin 0, of what is missing, holds none."""
    values = np.arange(1.0, 101.0)
    edges = quantile_edges(values)
    assert edges.tolist() == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    counts = np.bincount(bins_of(values[:, None], edges[None])[0])
    assert counts.tolist() == [0] + [10] * 10


def test_a_value_that_holds_a_whole_bin_has_one_to_itself() -> None:
    """Seven zeros of ten: what lies below them, and just above, is told from them."""
    edges = quantile_edges(np.array([0.0] * 7 + [1.0, 2.0, 3.0]))
    bins = bins_of(np.array([[0.0], [-1e-30], [1e-30]]), edges[None])[0]
    assert len(set(bins.tolist())) == 3


def test_a_new_category_falls_into_a_bin_that_training_left_empty() -> None:
    """Between, below and above the known ones, and where nothing is known."""
    known = np.repeat([0.0, 1.0, 3.0], 50)
    edges = quantile_edges(known)[None]
    used = set(bins_of(known[:, None], edges)[0].tolist())
    assert len(used) == 3
    new = bins_of(np.array([[2.0], [-1.0], [9.0], [np.nan]]), edges)[0].tolist()
    assert not used & set(new)


def test_what_is_missing_has_bin_0() -> None:
    """A column that training never saw has no edges, and still tells missing from there."""
    assert quantile_edges(np.full(5, np.nan)).tolist() == []
    bins = bins_of(np.array([[np.nan], [0.0]]), np.full((1, 2), np.inf, np.float32))
    assert bins.tolist() == [[0, 1]]


def test_an_answer_weighs_one_however_many_places_it_holds() -> None:
    """Four places beside one: shares of each answer sum to 1."""
    bins = np.array([[1, 1, 1, 0, 1]], np.uint8)
    shares = answer_shares(bins, np.array([0, 4, 5]), 2)
    assert shares[:, 0].tolist() == [[0.25, 0.75], [0.0, 1.0]]


def test_the_reference_swings_with_the_hour() -> None:
    """A column that is high at noon and low at midnight is expected so, and at no hour between."""
    rng = np.random.default_rng(1)
    time_s = over_weeks(rng, 4_000)
    swing = -np.cos(2 * np.pi * time_s / DAY_S)
    values = rng.normal(2 * swing)[:, None]
    reference = reference_of(("x",), single(values, time_s), rng)
    for hour, mean in ((0.0, -2.0), (12.0, 2.0), (6.0, 0.0)):
        phi = reference.phi(np.array([3 * DAY_S + hour * HOUR_S]))[0]
        expected = reference.expected(phi)[0]
        drawn = rng.normal(mean, 1, 20_000)[:, None]
        truth = np.bincount(reference.bins_of(drawn)[0], minlength=reference.bins) / 20_000
        # Total variation. With no hours at all it would be above 0.4 at noon and at midnight.
        assert np.abs(expected - truth).sum() / 2 < 0.15


def test_hours_that_training_has_not_seen_are_not_known() -> None:
    """Five days from Monday: what a Saturday looks like is worth next to nothing."""
    rng = np.random.default_rng(2)
    monday = 4 * DAY_S
    time_s = np.sort(rng.uniform(monday, monday + 5 * DAY_S, 1_000))
    reference = reference_of(("x",), single(rng.normal(size=(1_000, 1)), time_s), rng)
    noon = 12 * HOUR_S
    days = reference.phi(monday + np.array([2 * DAY_S, 5 * DAY_S]) + noon)
    tuesday, saturday = (reference.shares.answers(phi) for phi in days)
    assert saturday < 30 < tuesday


def test_likeness_follows_from_how_it_was_drawn() -> None:
    """Per user one value in all answers; per answer one of ten places: variances written out."""
    rng = np.random.default_rng(3)
    user = np.repeat(np.arange(400), 5)
    of_user = np.repeat(rng.normal(size=400), 5)
    of_answer = rng.normal(size=(2_000, 10)).mean(axis=1)
    residual = np.stack([of_user, of_answer], axis=1)[:, :, None]
    likeness = Likeness.of(residual, np.ones((2, 1)), user.astype(np.uint64))
    # All of a user's five are the same row: 1 + 1 (5 - 1). Ten places: a tenth of the variance.
    assert crowding(user.astype(np.uint64)) == 5
    assert likeness.effect(5) == pytest.approx([5.0, 0.1], rel=0.15)
    assert likeness.effect(1) == pytest.approx([1.0, 0.1], rel=0.15)


def test_an_error_is_what_the_choice_was_not_given() -> None:
    """The chosen had 0.2 of the 0.5 that all three had; where nothing was chosen there is none."""
    probability = np.array([0.2, 0.2, 0.1, 0.3, 0.4])
    chosen = np.array([True, False, False, False, False])
    errors = error_of(probability, chosen, np.array([0, 3, 5]))
    assert errors[0] == pytest.approx(1 - 0.2 / 0.5)
    assert np.isnan(errors[1])


def test_answers_are_joined_and_parted() -> None:
    """Rows stay with their answers."""
    one = Answers(np.arange(3.0)[:, None], np.array([0, 1, 3]), np.zeros(2), np.zeros(2, np.uint64))
    two = single(np.array([[7.0]]), np.ones(1))
    both = Answers.joined([one, two])
    assert both.first.tolist() == [0, 1, 3, 4]
    assert both.part(1, 3).values[:, 0].tolist() == [1, 2, 7]
    assert both.part(1, 3).first.tolist() == [0, 2, 3]


@pytest.fixture
def reference() -> Reference:
    rng = np.random.default_rng(4)
    answers = single(rng.normal(size=(300, 2)), over_weeks(rng, 300))
    return reference_of(("a", "b"), answers, rng, offset_s=3_600)


def test_a_reference_survives_its_file(reference: Reference, tmp_path: Path) -> None:
    """What is read tells the same of the same hours."""
    (tmp_path / FILE).parent.mkdir()
    write_reference(reference, tmp_path)
    again = read_reference(tmp_path)
    phi = reference.phi(np.array([1e6]))[0]
    assert again.columns == ("a", "b")
    assert again.offset_s == 3_600
    assert again.expected(phi) == pytest.approx(reference.expected(phi), abs=1e-5)
    assert again.sizes(phi) == pytest.approx(reference.sizes(phi))
    rows = np.ones((2, 2))
    twice = np.stack([phi, phi])
    found = again.embedding.residuals_of(rows, twice)
    assert found == pytest.approx(reference.embedding.residuals_of(rows, twice), abs=1e-3)


def test_targets_survive_the_file_and_need_not_be_there(
    reference: Reference, tmp_path: Path
) -> None:
    """References of before there were targets are read as ever."""
    (tmp_path / FILE).parent.mkdir()
    write_reference(reference, tmp_path)
    assert read_reference(tmp_path).targets is None
    targets = Targets.of(drawn(np.random.default_rng(6), n=400))
    assert targets is not None
    write_reference(replace(reference, targets=targets), tmp_path)
    again = read_reference(tmp_path).targets
    assert again is not None
    assert (again.answers, again.crowding) == (400, 1.0)
    assert again.edges.tolist() == targets.edges.tolist()
    assert again.ratio.tolist() == targets.ratio.tolist()
    assert again.likeness.effect(3.0) == pytest.approx(targets.likeness.effect(3.0))


def test_no_answers_have_no_distribution() -> None:
    """Nothing served is an error, not a row of NaN."""
    rng = np.random.default_rng(5)
    with pytest.raises(ValueError, match="at least one"):
        reference_of(("x",), single(np.zeros((0, 1)), np.zeros(0)), rng)
