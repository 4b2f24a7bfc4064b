"""How far two orders differ, by hand."""

import pytest

from inference.rank_difference import Difference, difference


@pytest.mark.parametrize(
    ("answered", "other", "expected"),
    [
        ("abc", "abc", Difference(1.0, 0.0, True)),
        # Each of six places moves from 0, 1, 2 to 3 or back: 2 * (3 + 2 + 1) = 12, the most.
        ("abc", "xyz", Difference(0.0, 1.0, False)),
        # a and c move by two each.
        ("abc", "cba", Difference(1.0, 4 / 12, False)),
        # c and x each stand at 2 in one list and behind the end, at 3, in the other.
        ("abc", "abx", Difference(2 / 3, 2 / 12, True)),
        ("", "", Difference(1.0, 0.0, True)),
        ("", "a", Difference(0.0, 1.0, False)),
        ("ab", "", Difference(0.0, 1.0, False)),
    ],
)
def test_differences(answered: str, other: str, expected: Difference) -> None:
    """Overlap, footrule and the first place."""
    found = difference(list(answered), list(other))
    assert found.overlap == pytest.approx(expected.overlap)
    assert found.distance == pytest.approx(expected.distance)
    assert found.same_top is expected.same_top
