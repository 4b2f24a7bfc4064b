"""Categories as paths."""

import pytest

from online_features.category_tree import kinds, leaf, likeness


def test_a_path_is_a_kind_of_all_above_it() -> None:
    """The widest first; a plain name is a tree of one level, whatever slashes it holds."""
    assert kinds("Dining > Restaurant > Pho") == (
        "Dining",
        "Dining > Restaurant",
        "Dining > Restaurant > Pho",
    )
    assert kinds("Gym / Fitness Center") == ("Gym / Fitness Center",)
    assert leaf("Dining > Restaurant > Pho") == "Pho"


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("Bar", "Bar", 1.0),
        ("Bar", "Museum", 0.0),
        ("", "", 0.0),
        ("Bar", "", 0.0),
        ("D > R > Pho", "D > R > Thai", 2 / 3),
        ("D > R > Pho", "D > R", 2 / 3),
        ("D > Bar", "D > R > Pho", 1 / 3),
        ("D > Bar", "E > Bar", 0.0),  # one name below two kinds is two things
    ],
)
def test_likeness_is_the_shared_part_of_the_deeper_path(a: str, b: str, expected: float) -> None:
    """And the same both ways."""
    assert likeness(a, b) == pytest.approx(expected)
    assert likeness(b, a) == pytest.approx(expected)
