"""JSON values in error messages, as RapidJSON's PrettyWriter prints them."""

from typing import Any

import pytest

from inference.model_server.json_debug import debug_string


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (-7, "-7"),
        ([], "[]"),
        ({}, "{}"),
        ([1, [2, "a"], None], '[1, [2, "a"], null]'),
        ({"a": 1, "b": [2, 3]}, '{\n    "a": 1,\n    "b": [2, 3]\n}'),
        ({"a": {"b": {}}}, '{\n    "a": {\n        "b": {}\n    }\n}'),
        # An array is a level too, though it starts no line.
        ([{"a": 1}, {"b": 2}], '[{\n        "a": 1\n    }, {\n        "b": 2\n    }]'),
        ('é/"\\\n\x1f\x7f', '"é/\\"\\\\\\n\\u001F\x7f"'),
    ],
)
def test_the_form(value: Any, text: str) -> None:
    """Four spaces a level, a member a line, arrays on one line."""
    assert debug_string(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (2.5, "2.5"),
        (1e5, "100000.0"),
        (1e20, "100000000000000000000.0"),
        (1e21, "1e21"),
        (1.5e22, "1.5e22"),
        (1e-5, "0.00001"),
        (1.25e-6, "0.00000125"),
        (1e-7, "1e-7"),
        (-1.5e-7, "-1.5e-7"),
        (5e-324, "5e-324"),
    ],
)
def test_doubles(value: float, text: str) -> None:
    """An exponent only where the point is far from the digits."""
    assert debug_string(value) == text


def test_nothing_begins_past_the_limit() -> None:
    """256 bytes: a token that begins before is whole, one that would begin after is left out."""
    assert debug_string(["a" * 300, 1]) == f'["{"a" * 300}"'
    # "[" and 85 times "0, ": the next element begins at byte 256.
    assert debug_string([0] * 1000) == "[" + ", ".join("0" * 86)
    # 127 letters of two bytes, their quotes and the bracket.
    assert debug_string(["é" * 127, 1]) == f'["{"é" * 127}"'
    assert debug_string(["é" * 126, 1, 2]) == f'["{"é" * 126}", 1'


def test_no_number_ends_it() -> None:
    """The writer has no word for it and stops, behind what precedes it."""
    assert debug_string([1, float("nan"), 2]) == "[1, "
    assert debug_string({"a": float("inf")}) == '{\n    "a": '
