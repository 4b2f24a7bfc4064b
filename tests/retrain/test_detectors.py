"""PSI and KS: their formulas, their silence without drift, and what they find."""

import doctest
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from models.reference import BINS, Reference, reference_of
from models.rhythm import DAY_S, WEEK_S
from models.served_answers import Answers
from retrain import error_drift, ks, psi, window
from retrain.error_drift import ErrorDrift
from retrain.ks import holm, ks_distance, ks_p_value, ks_p_values
from retrain.mmd import ALPHA, PERMUTATIONS, Discrepancy, MeanDiscrepancy
from retrain.psi import FLOOR, chance_stability, drifted, population_stability, psi_of
from retrain.window import AnswerWindow, Compared

Floats = np.ndarray
TRAINED, SERVED, COLUMNS = 10_000, 1_000, 20
NAMES = tuple(f"c{i}" for i in range(COLUMNS))
MARK = 0.2


def answers_of(rows: Floats, time_s: Floats | None = None, user: Floats | None = None) -> Answers:
    """One place an answer, each of another user, spread over two weeks unless told otherwise."""
    n = len(rows)
    times = np.linspace(0, 2 * WEEK_S, n, endpoint=False) if time_s is None else time_s
    users = np.arange(n) if user is None else user
    return Answers(rows, np.arange(n + 1), times, users.astype(np.uint64))


def trained_on(rows: Floats, time_s: Floats | None = None) -> Reference:
    names = tuple(f"c{i}" for i in range(rows.shape[1]))
    return reference_of(names, answers_of(rows, time_s), np.random.default_rng(0))


def window_of(reference: Reference, rows: Floats, time_s: Floats | None = None) -> AnswerWindow:
    """A window that holds these rows, one answer each."""
    filled = AnswerWindow(reference, len(rows), 4 * WEEK_S, np.random.default_rng(0))
    filled.update(answers_of(rows, time_s))
    return filled


def compared(reference: Reference, rows: Floats, time_s: Floats | None = None) -> Compared:
    return Compared.of(window_of(reference, rows, time_s))


@pytest.mark.parametrize("module", [psi, ks, window, error_drift])
def test_the_examples_in_the_docstrings_run(module: ModuleType) -> None:
    """What the documentation shows is what happens."""
    failed, attempted = doctest.testmod(module)
    assert attempted > 0
    assert failed == 0


def test_psi_follows_its_formula() -> None:
    """Two bins, an endless sample: the sum written out."""
    p, q = np.array([0.7, 0.3]), np.array([0.4, 0.6])
    expected = 0.3 * np.log(0.7 / 0.4) - 0.3 * np.log(0.3 / 0.6)
    assert population_stability(p[None], q[None], np.array([1e12])) == pytest.approx(
        [expected], rel=1e-6
    )


def test_psi_of_a_bin_that_was_empty_in_training_is_large_but_finite() -> None:
    """A new category takes a tenth of the traffic; the floor bounds what it adds."""
    value = population_stability(np.array([[0.9, 0.1]]), np.array([[1.0, 0.0]]), np.array([1e4]))[0]
    assert 0.2 < value < 0.1 * np.log(0.1 / FLOOR) + 0.1


def test_psi_is_not_moved_by_padding() -> None:
    """A column with two bins has the same PSI beside one with ten as alone."""
    p, q = np.array([[0.5, 0.5]]), np.array([[0.2, 0.8]])
    size = np.array([500.0])
    padded = population_stability(np.pad(p, ((0, 0), (0, 8))), np.pad(q, ((0, 0), (0, 8))), size)
    assert padded == pytest.approx(population_stability(p, q, size))


def test_psi_without_drift_stays_within_what_chance_allows() -> None:
    """Over 8 seeds and 20 columns: about (B - 1)(1/n + 1/m) on average, and no alarm."""
    values, alarms = [], 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        reference = trained_on(rng.normal(size=(TRAINED, COLUMNS)))
        seen = compared(reference, rng.normal(size=(SERVED, COLUMNS)))
        values.append(psi_of(seen))
        alarms += int((psi_of(seen) > chance_stability(seen)).sum())
    expected = (BINS - 1) * (1 / SERVED + 1 / TRAINED)
    assert np.mean(values) == pytest.approx(expected, rel=0.15)
    assert np.max(values) < MARK / 2
    # One in a thousand looks: eight have one with 1 %.
    assert alarms <= 1


@pytest.mark.parametrize("shift", [0.6, 1.0])
def test_psi_finds_a_shifted_column_and_only_it(shift: float) -> None:
    """Between normals a shift of d has PSI d^2 (Jeffreys' divergence); bins can only lose some."""
    rng = np.random.default_rng(1)
    reference = trained_on(rng.normal(size=(TRAINED, COLUMNS)))
    rows = rng.normal(size=(5_000, COLUMNS))
    rows[:, 3] += shift
    seen = compared(reference, rows)
    assert np.flatnonzero(drifted(seen, MARK)).tolist() == [3]
    assert 0.75 * shift**2 < psi_of(seen)[3] < 1.1 * shift**2


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_both_find_a_feature_that_vanished(value: float) -> None:
    """A broken producer leaves a column at its default, or empty; whatever it is, it is found."""
    rng = np.random.default_rng(2)
    reference = trained_on(rng.exponential(size=(TRAINED, 2)))
    rows = rng.exponential(size=(SERVED, 2))
    rows[:, 1] = value
    seen = compared(reference, rows)
    assert drifted(seen, MARK).tolist() == [False, True]
    assert (ks_p_values(seen) < 1e-6).tolist() == [False, True]


def test_a_new_category_in_a_twentieth_of_the_rows_is_found() -> None:
    """It lies between two known ones, where no row of the training lies."""
    rng = np.random.default_rng(3)
    reference = trained_on(rng.choice([0.0, 1.0, 3.0], (TRAINED, 1)))
    rows = rng.choice([0.0, 1.0, 3.0], (SERVED, 1))
    assert not drifted(compared(reference, rows), MARK).any()
    rows[::20] = 2.0
    assert drifted(compared(reference, rows), MARK).all()


def test_the_hour_is_no_drift_and_the_wrong_hour_is() -> None:
    """What is served at noon looks like the training's noon, and nothing like its midnight."""
    rng = np.random.default_rng(4)
    time_s = np.sort(rng.uniform(0, 2 * WEEK_S, 4_000))
    trained = rng.normal(-np.cos(2 * np.pi * time_s / DAY_S))[:, None]
    reference = trained_on(trained, time_s)
    at_noon = rng.normal(1.0, 1, (SERVED, 1))
    hour_s = rng.uniform(-1_800, 1_800, SERVED) + 20 * DAY_S
    assert not drifted(compared(reference, at_noon, hour_s + DAY_S / 2), MARK).any()
    assert drifted(compared(reference, at_noon, hour_s), MARK).all()


def test_a_few_users_are_not_a_crowd() -> None:
    """A thousand answers of five users differ from training by who they are: PSI says nothing."""
    rng = np.random.default_rng(5)
    users = np.repeat(np.arange(500), 8)
    habits = rng.normal(size=500)
    trained = answers_of(habits[users][:, None], user=users)
    reference = reference_of(("x",), trained, rng)
    five = np.repeat(np.arange(5), 200)
    held = AnswerWindow(reference, SERVED, WEEK_S, rng)
    held.update(answers_of(habits[five][:, None], np.full(SERVED, 1e6), five))
    seen = Compared.of(held)
    assert psi_of(seen)[0] > 1
    assert not drifted(seen, MARK).any()
    many = rng.normal(2, 1, (SERVED, 1))
    assert drifted(compared(reference, many), MARK).all()


def test_ks_is_scipys_where_bins_lose_nothing() -> None:
    """On a column of six values, each its own bin: ks_2samp's distance, nearly its p-value."""
    rng = np.random.default_rng(3)
    trained = rng.integers(0, 6, (3_000, 1)).astype(float)
    served = rng.choice(6, (700, 1), p=[0.18, 0.18, 0.18, 0.16, 0.15, 0.15]).astype(float)
    expected = stats.ks_2samp(trained[:, 0], served[:, 0], method="asymp")

    def shares(values: Floats) -> Floats:
        return np.bincount(values[:, 0].astype(int), minlength=6)[None] / len(values)

    distance = ks_distance(shares(served), shares(trained))
    assert distance == pytest.approx([expected.statistic])
    assert ks_p_value(distance, 700, 3_000) == pytest.approx([expected.pvalue], rel=0.05)


def test_ks_without_drift_errs_at_most_as_often_as_promised() -> None:
    """Over 24 seeds of 20 columns, false alarms lie within what chance allows at 5 %."""
    alarms = 0
    for seed in range(24):
        rng = np.random.default_rng(seed)
        reference = trained_on(rng.normal(size=(2 * SERVED, COLUMNS)))
        seen = compared(reference, rng.normal(size=(SERVED, COLUMNS)))
        alarms += bool((ks_p_values(seen) < 0.05).any())
    assert alarms <= stats.binom.ppf(0.999, 24, 0.05)


def test_mmd_sees_what_no_single_column_shows() -> None:
    """Two columns that were independent become one: each is as it was, together they are not."""
    rng = np.random.default_rng(6)
    reference = trained_on(rng.normal(size=(TRAINED // 4, 2)))
    calm, tied = rng.normal(size=(2, SERVED, 2))
    tied[:, 1] = tied[:, 0]
    assert not drifted(compared(reference, tied), MARK).any()
    verdicts = [
        MeanDiscrepancy(window_of(reference, rows), SERVED, rng).judge() for rows in (calm, tied)
    ]
    assert [verdict.drifted for verdict in verdicts] == [False, True]
    assert verdicts[1].p_value < 0.01 < verdicts[0].p_value


def test_mmd_without_drift_errs_seldom() -> None:
    """Twenty windows of no drift: at a promise of 1 in 500, one alarm is rare, three impossible."""
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        reference = trained_on(rng.normal(size=(SERVED, 5)))
        served = window_of(reference, rng.normal(size=(SERVED, 5)))
        alarms += MeanDiscrepancy(served, SERVED, rng).judge().drifted
    assert alarms <= stats.binom.ppf(0.9999, 20, 0.005)


def test_mmd_errs_as_often_as_is_stated() -> None:
    """No drift: what is seen stands at any of 500 places among the deals, and alarms at one."""
    ranks = np.arange(PERMUTATIONS + 1.0)
    alarms = 0
    for place in ranks:
        judged = Discrepancy.of(place, np.delete(ranks, int(place)))
        assert judged.drifted == (judged.p_value <= ALPHA)
        alarms += judged.drifted
    assert alarms / len(ranks) == ALPHA == 1 / 500


def test_an_error_that_follows_the_hour_is_no_rise() -> None:
    """Evenings are harder, as they were at training; then all hours become harder."""
    rng = np.random.default_rng(7)
    time_s = np.sort(rng.uniform(0, 2 * WEEK_S, 4_000))
    errors = (0.4 + 0.15 * np.sin(2 * np.pi * time_s / DAY_S) + rng.normal(0, 0.1, 4_000)).clip(
        0, 1
    )
    first = answers_of(np.zeros((2_000, 1)), time_s[:2_000])
    known = Answers(first.values, first.first, first.time_s, first.user, errors[:2_000])
    reference = reference_of(("x",), known, rng)
    watch = ErrorDrift(reference.error)
    watch.update(errors[2_000:], reference.phi(time_s[2_000:]))
    assert (watch.rises, watch.falls) == (0, 0)
    watch.update(errors[2_000:3_000] + 0.2, reference.phi(time_s[2_000:3_000]))
    assert watch.rises >= 1
    assert watch.falls == 0


def test_holm_by_its_definition() -> None:
    """Smallest times 4, next times 3, ..., never falling, never above 1; NaN is not counted."""
    p = np.array([0.2, 0.01, np.nan, 0.02, 0.5])
    # sorted 0.01 0.02 0.2 0.5 -> 0.04 0.06 0.4 0.5
    assert holm(p) == pytest.approx([0.4, 0.04, np.nan, 0.06, 0.5], nan_ok=True)
    assert holm(np.array([0.6, 0.9])).tolist() == [1.0, 1.0]


def test_the_window_forgets_by_count_and_by_age() -> None:
    """Sixteen panes of ten: the oldest ten go when more come; what is a week old goes too."""
    reference = trained_on(np.arange(100.0)[:, None])
    held = AnswerWindow(reference, 160, WEEK_S, np.random.default_rng(0))

    def add(count: int, at_s: float) -> int:
        held.update(answers_of(np.zeros((count, 1)), np.full(count, at_s)))
        return held.size

    assert add(160, 0) == 160
    assert add(1, 10) == 151
    assert add(10, 2 * WEEK_S) == 11  # one into the pane begun before: its newest counts
    assert held.taken == 171
    assert held.counts().sum() == held.size


def test_no_window_without_room() -> None:
    """A pane holds at least one answer."""
    with pytest.raises(ValueError, match="16"):
        AnswerWindow(trained_on(np.zeros((9, 1))), 15, WEEK_S, np.random.default_rng(0))
