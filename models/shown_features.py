"""What the ranker saw of shown places: as logged if it would be asked so today, else recomputed.

Logged features and parts are the truth of what was served (DESIGN D7). They are usable as long as
the definitions behind them and the columns are today's, and no part of the service stood in for
another. Of all other answers the replay tells, point in time, what today's ranker would have seen.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Settings
from contracts.signatures import PARTS
from models.served_columns import served_columns, served_parts
from online_features.columns import EventColumns
from online_features.context import ContextLog
from online_features.definitions import FEATURE_SET
from online_features.impressions import ImpressionLog, read_impressions, read_seen
from online_features.request import RANKING_COLUMNS

Floats = NDArray[np.float32]
_WIDTHS = {"features": len(RANKING_COLUMNS), "parts": len(PARTS)}


@dataclass(frozen=True)
class Logged:
    """What was logged of the r places of some answers and may be read today; else rows of NaN.

    Attributes:
        features: float32[r, len(RANKING_COLUMNS)].
        parts: float32[r, len(PARTS)].
    """

    features: Floats
    parts: Floats


@dataclass(frozen=True)
class ServedAnswers:
    """The served answers of an archive.

    Attributes:
        log: all of them, in order of time, without features.
        archive_dir: where their features are.
        models_dir: where the cards of the models are that made them.
        context: the past of weather and traffic, to recompute by.
    """

    log: ImpressionLog
    archive_dir: Path
    models_dir: Path
    context: ContextLog

    @classmethod
    def read(cls, settings: Settings, events: EventColumns, context: ContextLog) -> Self | None:
        """Those of the time of the events that a training takes its choices from.

        `None` where there are no events, or where no answers shall be learned from.
        """
        newest = events.time_s[-settings.train_max_rows :]
        if not len(newest) or not settings.train_max_impressions:
            return None
        log = read_impressions(settings.archive_dir, since_s=float(newest[0]))
        return cls(log, settings.archive_dir, settings.models_dir, context)

    def as_logged(self, answers: ImpressionLog) -> Logged:
        """What the ranker saw of some of the answers.

        Names of columns are those on the cards of the versions that answered. A candidate model
        that may have counted what came after an answer (one that was played back) is not believed.
        """
        usable = answers.whole & (answers.feature_set == FEATURE_SET)
        for version in np.unique(answers.ranker[usable]).tolist():
            if served_columns(self.models_dir, version) != RANKING_COLUMNS:
                usable &= answers.ranker != version
        told = usable.copy()
        for version in np.unique(answers.candidates[usable]).tolist():
            names, known_s = served_parts(self.models_dir, version) or ((), np.inf)
            honest = (answers.time_s >= known_s) & (names == PARTS)
            told &= honest | (answers.candidates != version)
        # Of answers that are not usable nothing is even read.
        mine = np.flatnonzero(usable)
        rows = answers.rows_of(mine)
        read = read_seen(self.archive_dir, answers.take(mine), _WIDTHS)
        found = {n: np.full((len(answers.place), w), np.nan, "f4") for n, w in _WIDTHS.items()}
        for name, values in found.items():
            values[rows] = read[name]
        found["parts"][~told[answers.answer]] = np.nan
        return Logged(**found)
