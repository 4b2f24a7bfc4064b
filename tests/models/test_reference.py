"""Reference distributions: quantile bins and their shares."""

import numpy as np
import pytest

from models.reference import reference_of, references_of, shares


def test_a_continuous_column_falls_into_ten_equal_bins() -> None:
    """Of 1..100 each decile holds ten values."""
    reference = reference_of(np.arange(1.0, 101.0))
    assert reference["edges"] == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert reference["proportions"] == pytest.approx([0.1] * 10)


def test_an_atom_gets_a_bin_of_its_own() -> None:
    """Seven zeros of ten: the quantiles at 0 fall together, and the rest is parted."""
    reference = reference_of(np.array([0.0] * 7 + [1.0, 2.0, 3.0]))
    assert reference["edges"][0] == 0.0
    assert reference["proportions"][0] == pytest.approx(0.7)
    assert sum(reference["proportions"]) == pytest.approx(1)


def test_a_constant_column_notices_any_larger_value() -> None:
    """All mass lies at or below the only edge."""
    reference = reference_of(np.full(20, 3.0))
    assert reference["edges"] == [3.0]
    assert reference["proportions"] == [1.0, 0.0]
    assert shares(np.array([3.0, 4.0]), reference["edges"]).tolist() == [0.5, 0.5]


def test_a_column_has_the_shares_that_it_was_cut_by() -> None:
    """What is kept is what `shares` gives for the same values."""
    values = np.random.default_rng(1).exponential(size=(1_000, 2)).round(1)
    for name, reference in references_of(("a", "b"), values).items():
        again = shares(values[:, "ab".index(name)], reference["edges"])
        assert again.tolist() == pytest.approx(reference["proportions"])


def test_no_values_have_no_distribution() -> None:
    """Nothing served is an error, not a row of NaN."""
    with pytest.raises(ValueError, match="at least one value"):
        shares(np.array([]), [1.0])
