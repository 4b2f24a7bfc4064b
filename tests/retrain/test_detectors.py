"""PSI and KS: their formulas, their silence without drift, and what they find."""

import doctest
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from models.reference import BINS, shares
from retrain import ks, psi, window
from retrain.ks import KolmogorovSmirnov, holm, ks_distance, ks_p_value
from retrain.psi import FLOOR, PopulationStability, population_stability
from retrain.reference import Floats, Reference, parse_reference, reference_of
from retrain.window import BinnedWindow

TRAINED, SERVED, COLUMNS = 20_000, 1_000, 20
NAMES = tuple(f"c{i}" for i in range(COLUMNS))
DAY_S = 86_400.0


def window_of(reference: Reference, rows: Floats) -> BinnedWindow:
    """A window that holds these rows, one answer each."""
    filled = BinnedWindow(reference, DAY_S)
    filled.update(rows, np.ones(len(rows)), np.full(len(rows), DAY_S))
    return filled


@pytest.mark.parametrize("module", [psi, ks, window])
def test_the_examples_in_the_docstrings_run(module: ModuleType) -> None:
    """What the documentation shows is what happens."""
    failed, attempted = doctest.testmod(module)
    assert attempted > 0
    assert failed == 0


def test_psi_follows_its_formula() -> None:
    """Two bins, an endless sample: the sum written out."""
    p, q = np.array([0.7, 0.3]), np.array([0.4, 0.6])
    expected = 0.3 * np.log(0.7 / 0.4) - 0.3 * np.log(0.3 / 0.6)
    assert population_stability(p[None], q[None], 1e12) == pytest.approx([expected], rel=1e-6)


def test_psi_of_a_bin_that_was_empty_in_training_is_large_but_finite() -> None:
    """A new category takes a tenth of the traffic; the floor bounds what it adds."""
    value = population_stability(np.array([[0.9, 0.1]]), np.array([[1.0, 0.0]]), 10_000)[0]
    assert 0.2 < value < 0.1 * np.log(0.1 / FLOOR) + 0.1


def test_psi_is_not_moved_by_padding() -> None:
    """A column with two bins has the same PSI beside one with ten as alone."""
    p, q = np.array([[0.5, 0.5]]), np.array([[0.2, 0.8]])
    padded = population_stability(np.pad(p, ((0, 0), (0, 8))), np.pad(q, ((0, 0), (0, 8))), 500)
    assert padded == pytest.approx(population_stability(p, q, 500))


def test_psi_without_drift_stays_at_its_known_mean_and_never_alarms() -> None:
    """Over 20 seeds and 20 columns: mean (B - 1)(1/n + 1/m), and no value near 0.2."""
    values = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        reference = reference_of(NAMES, rng.normal(size=(TRAINED, COLUMNS)))
        served = window_of(reference, rng.normal(size=(SERVED, COLUMNS)))
        values.append(PopulationStability(served, 0.2, SERVED).values())
    expected = (BINS - 1) * (1 / SERVED + 1 / TRAINED)
    assert np.mean(values) == pytest.approx(expected, rel=0.1)
    assert np.max(values) < 0.1


@pytest.mark.parametrize("shift", [0.6, 1.0])
def test_psi_finds_a_shifted_column_and_only_it(shift: float) -> None:
    """Between normals a shift of d has PSI d^2 (Jeffreys' divergence); bins can only lose some."""
    rng = np.random.default_rng(1)
    reference = reference_of(NAMES, rng.normal(size=(TRAINED, COLUMNS)))
    rows = rng.normal(size=(5_000, COLUMNS))
    rows[:, 3] += shift
    detector = PopulationStability(window_of(reference, rows), 0.2, SERVED)
    assert np.flatnonzero(detector.drifted()).tolist() == [3]
    assert 0.75 * shift**2 < detector.values()[3] < 1.1 * shift**2


def test_both_find_a_feature_that_vanished() -> None:
    """A broken producer leaves a column at its default; whatever that is, it is found."""
    rng = np.random.default_rng(2)
    reference = reference_of(("ok", "gone"), rng.exponential(size=(TRAINED, 2)))
    rows = rng.exponential(size=(SERVED, 2))
    rows[:, 1] = 0
    served = window_of(reference, rows)
    assert PopulationStability(served, 0.2, SERVED).drifted().tolist() == [False, True]
    assert KolmogorovSmirnov(served, 1e-6, SERVED).drifted().tolist() == [False, True]


def test_both_are_silent_on_too_small_a_sample() -> None:
    """Under the least number of answers there is no value, and no drift."""
    reference = reference_of(("x",), np.arange(100.0)[:, None])
    served = window_of(reference, np.full((9, 1), 1e9))
    for detector in (PopulationStability(served, 0.2, 10), KolmogorovSmirnov(served, 0.05, 10)):
        assert np.isnan(detector.values()).all()
        assert not detector.drifted().any()


def test_ks_equals_scipy_where_bins_lose_nothing() -> None:
    """On a column of six values, each its own bin, distance and p-value are ks_2samp's."""
    rng = np.random.default_rng(3)
    trained = rng.integers(0, 6, (3_000, 1)).astype(float)
    served = rng.choice(6, (700, 1), p=[0.2, 0.2, 0.2, 0.15, 0.15, 0.1]).astype(float)
    reference = reference_of(("x",), trained)
    expected = stats.ks_2samp(trained[:, 0], served[:, 0], method="asymp")
    distance = ks_distance(window_of(reference, served).proportions(), reference.proportions)
    assert distance == pytest.approx([expected.statistic])
    assert ks_p_value(distance, 700, 3_000) == pytest.approx([expected.pvalue], rel=1e-6)


def test_ks_on_bins_is_conservative() -> None:
    """Binned, the distance is never larger than that of the raw samples, for any shift."""
    rng = np.random.default_rng(4)
    trained = rng.normal(size=(2_000, 1))
    reference = reference_of(("x",), trained)
    for shift in np.linspace(0, 1, 11):
        served = rng.normal(shift, 1, (500, 1))
        raw = stats.ks_2samp(trained[:, 0], served[:, 0], method="asymp")
        binned = ks_distance(window_of(reference, served).proportions(), reference.proportions)
        assert binned[0] <= raw.statistic + 1e-12


def test_ks_without_drift_errs_at_most_as_often_as_promised() -> None:
    """Over 200 seeds of 20 columns, false alarms lie within what chance allows at 5 %."""
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        reference = reference_of(NAMES, rng.normal(size=(SERVED, COLUMNS)))
        served = window_of(reference, rng.normal(size=(SERVED, COLUMNS)))
        alarms += bool(KolmogorovSmirnov(served, 0.05, SERVED).drifted().any())
    assert alarms <= stats.binom.ppf(0.999, 200, 0.05)


def test_holm_by_its_definition() -> None:
    """Smallest times 4, next times 3, ..., never falling, never above 1; NaN is not counted."""
    p = np.array([0.2, 0.01, np.nan, 0.02, 0.5])
    # sorted 0.01 0.02 0.2 0.5 -> 0.04 0.06 0.4 0.5
    assert holm(p) == pytest.approx([0.4, 0.04, np.nan, 0.06, 0.5], nan_ok=True)
    assert holm(np.array([0.6, 0.9])).tolist() == [1.0, 1.0]


def test_bins_are_those_of_the_training() -> None:
    """The window's shares equal what `models.reference.shares` counts, atoms included."""
    rng = np.random.default_rng(5)
    rows = np.stack([rng.normal(size=400), rng.integers(0, 3, 400), np.zeros(400)], axis=1)
    rows = rows.astype(np.float32)
    reference = reference_of(("a", "b", "c"), rows[:200])
    counted = window_of(reference, rows[200:]).proportions()
    for i in range(3):
        edges = reference.edges[i][np.isfinite(reference.edges[i])]
        assert counted[i, : len(edges) + 1] == pytest.approx(shares(rows[200:, i], edges.tolist()))


def test_an_answer_counts_once_however_many_places_it_holds() -> None:
    """Rows are weighted, so the size of the window is in answers."""
    reference = reference_of(("x",), np.arange(10.0)[:, None])
    held = BinnedWindow(reference, DAY_S)
    held.update(np.zeros((4, 1)), np.full(4, 0.25), np.zeros(4))
    held.update(np.full((2, 1), 9.0), np.full(2, 0.5), np.zeros(2))
    assert held.size == pytest.approx(2)
    assert held.proportions()[0, [0, 9]] == pytest.approx([0.5, 0.5])


def test_the_window_forgets_and_refuses_what_is_too_old() -> None:
    """Six panes of 10 s: what lies a window back is gone, what arrives that late is left out."""
    reference = reference_of(("x",), np.arange(10.0)[:, None])
    held = BinnedWindow(reference, window_s=60, panes=6)

    def add(time_s: float) -> None:
        held.update(np.zeros((1, 1)), np.ones(1), np.array([time_s]))

    add(5)
    add(55)
    assert (held.size, held.spanned) == (2, True)
    add(65)  # the pane of 5 s makes room
    assert held.size == 2
    add(9)
    assert held.size == 2
    add(1_000)
    assert held.size == 1


def test_a_part_of_a_day_is_not_a_day() -> None:
    """The window is spanned only when events reach from its first pane to its last."""
    reference = reference_of(("x",), np.arange(10.0)[:, None])
    held = BinnedWindow(reference, DAY_S)
    assert not held.spanned
    held.update(np.zeros((2, 1)), np.ones(2), np.array([0.0, 22 * 3_600.0]))
    assert not held.spanned
    held.update(np.zeros((1, 1)), np.ones(1), np.array([23 * 3_600.0]))
    assert held.spanned


@pytest.mark.parametrize(
    "saved",
    [
        {},
        {"x": {"edges": [0.0], "proportions": [1.0]}},
        {"x": {"edges": [0.0], "proportions": [0.5, 0.2]}},
    ],
)
def test_a_damaged_reference_is_refused(saved: dict[str, object]) -> None:
    """A missing column, bins that do not fit, shares that are none."""
    with pytest.raises(ValueError, match="x"):
        parse_reference(saved, ("x",), 10)
