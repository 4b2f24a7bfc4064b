"""Loops that numba compiles, where numpy would take a hundred small operations.

A request has some 200 places and a history of 144 events: at that size numpy spends its time on
calls, not on numbers. A compiled loop says what happens to one event or one pair, and costs the
same whether a request has them or a training.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import xxhash
from numba.core import config

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """The function as machine code, made at its first call and kept on disk for later processes.

    It takes numbers and arrays only. Code is kept beside the source (`__pycache__`) or in
    NUMBA_CACHE_DIR; where that cannot be written to, each process compiles for itself.
    """
    made: Any
    try:
        made = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # nowhere to keep it
        made = numba.njit(nogil=True)(function)
    result: F = made
    return result


def _kept_in() -> Path:
    """A folder for this very source: numba looks at the file of a loop, and not at those of the
    loops and constants that it was compiled with."""
    source = Path(__file__).parent
    digest = xxhash.xxh3_64()
    for path in sorted(source.glob("*.py")):
        digest.update(path.read_bytes())
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    return Path(chosen or source / "__pycache__") / f"loops-{digest.hexdigest()}"


# An assignment in plain sight is unknown to numba's types, which make it from the environment.
setattr(config, "CACHE_DIR", str(_kept_in()))  # noqa: B010
