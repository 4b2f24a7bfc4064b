"""How long a place rests, by the words of its category."""

import pytest

from inference.rest import LONG_REST_S, REST_S, rest_s


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("Movie Theater", LONG_REST_S),
        ("STADIUM", LONG_REST_S),
        ("Arts and Entertainment > Museum > Art Museum", LONG_REST_S),
        ("Travel and Transportation > Transport Hub > Airport", LONG_REST_S),
        ("", REST_S),
        ("Coffee Shop", REST_S),
        ("Zoological Supplies", REST_S),  # words, not letters
        ("Train Station", REST_S),  # people come back to it the same hour
    ],
)
def test_a_category_says_how_long(category: str, expected: float) -> None:
    """Whole words, in any letters, at any level of a path."""
    assert rest_s(category) == expected
