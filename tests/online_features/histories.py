"""Random histories for hypothesis: late, duplicate and out of order."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from online_features.columns import RATE, EventColumns
from tests.online_features.oracle import Event

START_S = 1_750_000_000
SPAN_S = 40 * 86_400


@st.composite
def histories(draw: st.DrawFn, max_size: int = 120) -> list[Event]:
    """Events of few users at few places over forty days, in any order, some sent twice."""
    seed = draw(st.integers(0, 2**32 - 1))
    size = draw(st.integers(0, max_size))
    users = draw(st.integers(1, 4))
    crowding_s = draw(st.sampled_from((600, 86_400, SPAN_S)))
    return random_history(np.random.default_rng(seed), size, users, crowding_s)


def random_history(rng: np.random.Generator, size: int, users: int, crowding_s: int) -> list[Event]:
    """Events within the last `crowding_s` seconds of the span; a tenth are copies of others."""
    events: list[Event] = []
    for i in range(size):
        if events and rng.random() < 0.1:
            events.append(events[int(rng.integers(len(events)))])
            continue
        kind = int(rng.integers(4))
        events.append(
            Event(
                user=1 + int(rng.integers(users)),
                place=1 + int(rng.integers(6)),
                kind=kind,
                time_s=float(START_S + SPAN_S - int(rng.integers(crowding_s))),
                rating=float(rng.integers(2, 11)) / 2 if kind == RATE else None,
                age_group=int(rng.integers(-1, 7)),
                identity=i + 1,
                dwell_s=float(rng.integers(60, 80_000)) if rng.random() < 0.5 else None,
                # On a fine grid, so that no two distances are equal by chance; exact in float32.
                spot=(40 + i / 1_024, -74 + (i * i % 997) / 2_048),
            )
        )
    return events


def columns(events: Sequence[Event]) -> EventColumns:
    """The same events as columns."""
    return EventColumns.of(
        user=[e.user for e in events],
        place=[e.place for e in events],
        kind=[e.kind for e in events],
        time_s=[e.time_s for e in events],
        rating=[np.nan if e.rating is None else e.rating for e in events],
        age_group=[e.age_group for e in events],
        event_hash=[e.identity for e in events],
        dwell_s=[np.nan if e.dwell_s is None else e.dwell_s for e in events],
        lat=[np.nan if e.spot is None else e.spot[0] for e in events],
        lng=[np.nan if e.spot is None else e.spot[1] for e in events],
    )
