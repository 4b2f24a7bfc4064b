"""The distinct ones of some numbers, quickly where they are few."""

import numpy as np
from numpy.typing import NDArray

from online_features.compiled import compiled

Codes = NDArray[np.int64]

#: So many are looked for one by one; a request's zones and days are a handful.
_FEW = 32


def distinct(codes: Codes) -> tuple[Codes, Codes]:
    """The distinct codes, and the position among them of each, int64[n]; in no certain order."""
    found, which = np.empty(_FEW, np.int64), np.empty(len(codes), np.int64)
    n = _few(codes, found, which)
    if n >= 0:
        return found[:n], which
    return np.unique(codes, return_inverse=True)


@compiled
def _few(codes: Codes, found: Codes, which: Codes) -> int:
    """Fill in both; how many were found, -1 if they do not fit."""
    n = 0
    for i in range(len(codes)):
        at = 0
        while at < n and found[at] != codes[i]:
            at += 1
        if at == n:
            if n == len(found):
                return -1
            found[n] = codes[i]
            n += 1
        which[i] = at
    return n
