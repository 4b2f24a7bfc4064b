"""Loops that numba compiles, where numpy would take a hundred small operations.

A request has some 200 places and a history of 144 events: at that size numpy spends its time on
calls, not on numbers. A compiled loop says what happens to one event or one pair, and costs the
same whether a request has them or a training.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numba

from online_features.compiled_cache import LoopCache

F = TypeVar("F", bound=Callable[..., Any])

#: All that were made.
LOOPS: list[Any] = []


def compiled(function: F) -> F:
    """The function as machine code, made at its first call and kept on disk for later processes.

    It takes numbers and arrays only, and trusts them: a position out of range is not noticed.
    """
    made: Any = numba.njit(nogil=True)(function)
    with suppress(RuntimeError):  # nowhere to keep it: each process compiles for itself
        made._cache = LoopCache(function)
    LOOPS.append(made)
    result: F = made
    return result
