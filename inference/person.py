"""The user of a request, as the features know them at this moment."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from inference.rest import REST_S as REST_S
from inference.rest import resting
from online_features.catalogue import Catalogue
from online_features.columns import RATE, VISIT
from online_features.definitions import USER
from online_features.history import History, history


@dataclass(frozen=True)
class Person:
    """A user's state and what the pipeline reads from it.

    Attributes:
        states: one row of `USER.dtype`.
        known: whether anything is known of the user.
        latest_s: Unix seconds of the newest known event.
        history: recent events, newest first, one row.
        visits: uint64 hashes of the places that they visited or rated, as often as they did.
        resting: those of them that were visited so lately that they rest (`inference.rest`), once.
        moment: at which the store was asked, see `OnlineReader.scene`; None: it was not.
    """

    states: NDArray[np.void]
    known: bool
    latest_s: float | None
    history: History
    visits: NDArray[np.uint64]
    resting: NDArray[np.uint64]
    moment: int | None = None

    @classmethod
    def of(
        cls,
        states: NDArray[np.void],
        *,
        known: bool,
        latest_s: float | None,
        now_s: float,
        catalogue: Catalogue | None = None,
        moment: int | None = None,
    ) -> "Person":
        """Read a user's state as of a moment (Unix seconds).

        Without a catalogue all places rest alike, whatever their kind.
        """
        events = history(states)
        been = (events.ids[0] != 0) & ((events.kind[0] == VISIT) | (events.kind[0] == RATE))
        places, ago_s = events.ids[0][been], now_s - events.time_s[0][been]
        return cls(
            states=states,
            known=known,
            latest_s=latest_s,
            history=events,
            visits=places,
            resting=np.unique(places[resting(places, ago_s, catalogue)]),
            moment=moment,
        )

    @cached_property
    def visited(self) -> NDArray[np.uint64]:
        """The places visited, each once."""
        return np.unique(self.visits)

    @classmethod
    def unknown(cls, now_s: float) -> "Person":
        """Somebody of whom nothing is known, or cannot be known now."""
        return cls.of(USER.empty(1), known=False, latest_s=None, now_s=now_s)
