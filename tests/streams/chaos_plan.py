"""What goes wrong, when, and to whom: drawn from a seed, before anything runs."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Kind = Literal[
    "kill worker",
    "add worker",
    "remove worker",
    "hold worker",
    "kill broker",
    "kill redis",
    "cut redis",
    "cut kafka",
    "stall redis",
    "stall kafka",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Things that are dear (a start of Java) or slow happen once; these may happen again.
AGAIN: tuple[Kind, ...] = ("kill worker", "hold worker", "kill redis", "cut redis", "stall redis")
MORE = 4
#: Seconds that a fault lasts; what must outlast the session begins after it (`beyond_session`).
SHORTEST_S, LONGEST_S = 0.1, 2.5


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        at_s: seconds after the start.
        kind: what it is.
        pick: in [0, 1), chooses among those whom it can befall at that moment.
        lasts_s: after so long it is undone (the killed is started, the held goes on, ...).
        beyond_session: whether it outlasts the session of a worker by `lasts_s`.
    """

    at_s: float
    kind: Kind
    pick: float
    lasts_s: float
    beyond_session: bool


def plan(seed: int, length_s: float) -> list[Fault]:
    """Every kind once and some again, in random order, at random moments of `length_s`."""
    rng = np.random.default_rng(seed)
    kinds = [*KINDS, *(AGAIN[i] for i in rng.integers(len(AGAIN), size=MORE))]
    order = rng.permutation(len(kinds))
    moments = np.sort(rng.uniform(0, length_s, len(kinds)))
    return [
        Fault(
            at_s=float(at_s),
            kind=kinds[i],
            pick=float(rng.random()),
            # As many short ones as long ones: some races live in milliseconds.
            lasts_s=float(np.exp(rng.uniform(np.log(SHORTEST_S), np.log(LONGEST_S)))),
            # One that is held or cut off for longer than its session is the zombie.
            beyond_session=kinds[i] in ("hold worker", "stall kafka") or bool(rng.random() < 0.3),
        )
        for at_s, i in zip(moments, order.tolist(), strict=True)
    ]
