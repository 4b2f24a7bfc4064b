"""What the states of places say at a moment: read from states, or elsewhere."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from online_features.definitions import PLACE
from online_features.rings import Moments, States

Values = NDArray[np.float32]


class PlaceValues(Protocol):
    """Features of n places at their moments."""

    def __len__(self) -> int:
        """n."""

    def table(self, names: tuple[str, ...]) -> Values:
        """Some columns as `FeatureSet.read` gives them, float32[n, len(names)]."""


@dataclass(frozen=True)
class PlaceStates:
    """Values read from states, each feature when it is first asked for.

    Attributes:
        states: [n].
        now_s: float64[n], Unix seconds.
    """

    states: States
    now_s: Moments

    def __len__(self) -> int:
        return len(self.states)

    @classmethod
    def at(cls, states: States, now_s: float) -> "PlaceStates":
        """All of them at one moment."""
        return cls(states, np.full(len(states), now_s))

    @cached_property
    def _read(self) -> dict[str, Values]:
        return {}

    def feature(self, name: str) -> Values:
        """All columns of one feature, float32[n, its columns]."""
        if name not in self._read:
            self._read[name] = PLACE.read_feature(name, self.states, self.now_s)
        return self._read[name]

    def column(self, name: str) -> Values:
        """One column, float32[n]."""
        feature, at = PLACE.owner[name]
        return self.feature(feature)[:, at]

    def table(self, names: tuple[str, ...]) -> Values:
        """Some columns beside each other, float32[n, len(names)]."""
        return np.stack([self.column(name) for name in names], axis=1)


@dataclass(frozen=True)
class ReadValues:
    """Values that were read elsewhere, each at its own moment.

    Attributes:
        values: float32[n, columns], as `PLACE.read` gives them.
    """

    values: Values

    def __len__(self) -> int:
        return len(self.values)

    def table(self, names: tuple[str, ...]) -> Values:
        """Some columns beside each other, float32[n, len(names)]."""
        return np.take(self.values, [PLACE.index[name] for name in names], axis=1)
