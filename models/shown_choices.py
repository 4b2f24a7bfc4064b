"""Choices among what a served answer showed, laid out as choice sets are.

An answer whose user went to one of its places, within the attribution window, is a choice among
them: the place that was visited first, beside the others that were shown. One that was visited
later is not there: it was no wrong answer.

**Propensities need no correction here**, though the softmax has a place for one. If a set S comes
about with the chance pi(S | j) where j is chosen, then P(j | S) is proportional to
exp(utility_j + log pi(S | j)) (McFadden, "Modelling the choice of residential location", 1978). In
drawn sets, which are made around the choice, pi(S | j) is in proportion to 1 / q_j, q_j being how
often j is drawn; hence the logQ term. What was shown was settled before anything was chosen: so
pi(S | j) is one and the same for all j in S, whatever chance put each where it stood, and cancels.
Every place is expected once, and log 1 is taken off. Were log(propensity) taken off all the same,
the model would think so much less of the places shown by chance (a test fits both). Propensities
are archived for what does need them: to judge another policy by the answers of this one.

It cancels as long as what put S together is known to the ranker, too (its columns, or chance). And
it says nothing of attention: **position is not corrected**. Who stands at the top is seen by more
eyes; as long as the order follows the score alone, the two cannot be told apart.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.choice_sets import SET
from models.listwise import NOT_THERE
from online_features.catalogue import Catalogue
from online_features.impressions import ImpressionLog

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """Shown places in the columns of choice sets, of c answers with a choice.

    Attributes:
        places: int64[c, SET], catalogue rows; -1 pads. Column 0 was chosen.
        there: bool[c, SET], which count.
        row, column: int64[k], where each of the answers' k places stands, answer by answer; column
            `SET` for those that find no room.
    """

    places: Index
    there: NDArray[np.bool_]
    row: Index
    column: Index

    @classmethod
    def of(
        cls, answers: ImpressionLog, chosen: Index, later: NDArray[np.bool_], catalogue: Catalogue
    ) -> Self:
        """Put the chosen place of each answer first, the others behind it in their order.

        Args:
            answers: c of them, with k places.
            chosen: int64[c], which of the k was chosen.
            later: bool[k], visited as well, but not first.
            catalogue: a place that is not in it does not count.
        """
        row = answers.answer
        at = np.arange(len(row)) - answers.first[row]
        first = (chosen - answers.first[:-1])[row]
        column = np.where(at == first, 0, np.minimum(at + (at < first), SET))
        places = np.full((len(answers), SET + 1), -1)
        places[row, column] = catalogue.rows_of(answers.place)
        there = np.zeros(places.shape, bool)
        there[row, column] = ~later
        there &= places >= 0
        return cls(places[:, :SET], there[:, :SET], row, column)

    @property
    def teaches(self) -> NDArray[np.bool_]:
        """Whether the chosen place and at least one other are there, bool[c]."""
        enough: NDArray[np.bool_] = self.there[:, 0] & (self.there.sum(axis=1) > 1)
        return enough

    @property
    def width(self) -> int:
        """Columns in use."""
        return int(np.minimum(self.column, SET - 1).max(initial=-1)) + 1

    @property
    def log_expected(self) -> NDArray[np.float32]:
        """float32[c, SET]: each place that counts is there for certain, whatever was chosen."""
        return np.where(self.there, 0.0, NOT_THERE).astype(np.float32)

    def spread(self, values: NDArray[Any], fill: float) -> NDArray[np.float32]:
        """What is known of the k places, [k, F], in the sets' columns: float32[c, SET, F]."""
        found = np.full((*self.places.shape, values.shape[1]), fill, np.float32)
        room = self.column < SET
        found[self.row[room], self.column[room]] = values[room]
        return found
