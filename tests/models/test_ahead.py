"""Work done one item ahead: same items, same errors, never more than one of them waiting."""

from collections.abc import Iterator

import pytest

from models.ahead import ahead


def test_the_items_come_in_their_order() -> None:
    """Also where one of them is nothing."""
    assert list(ahead(iter([3, None, 0, 3]))) == [3, None, 0, 3]
    assert list(ahead(())) == []


def test_the_next_one_is_made_while_one_is_used_and_no_other() -> None:
    """What takes 120 MB must not pile up before a slow reader."""
    made: list[int] = []

    def making() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    items = ahead(making())
    assert next(items) == 0
    items.close()  # type: ignore[attr-defined]  # a generator; waits for what is being made
    assert made == [0, 1]


def test_what_making_an_item_raises_is_raised_in_its_place() -> None:
    """Not before it, and not swallowed in the thread."""

    def making() -> Iterator[int]:
        yield 1
        raise ValueError("no second one")

    items = ahead(making())
    assert next(items) == 1
    with pytest.raises(ValueError, match="no second one"):
        next(items)
