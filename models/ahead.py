"""Stages of a pipeline side by side: what comes next is made while what is here is worked on."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, each made in a thread while the one before it is used.

    It pays where both sides spend their time in numpy or TensorFlow, which let other threads run.
    One item more is in memory. What making one raises is raised here, in its place.

    Args:
        items: must not share anything that is changed with whoever uses them.
    """
    coming, end = iter(items), object()
    with ThreadPoolExecutor(1, "ahead") as pool:
        made = pool.submit(next, coming, end)
        while (item := made.result()) is not end:
            made = pool.submit(next, coming, end)
            yield item  # type: ignore[misc]  # not `end`
