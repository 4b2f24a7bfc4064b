"""Of one system's answers: whether its probabilities mean what they say, and which places show."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.bootstrap import Interval
from models.plots import CalibrationBin, Cell, calibration_bins, coverage_cells
from online_features.catalogue import Catalogue
from placestream.evaluation.served import Answers

#: Places of an answer that count as shown.
LISTED = 10


def shown_facts(
    answers: Answers,
    target: NDArray[np.int64],
    user: NDArray[np.integer],
    catalogue: Catalogue,
) -> dict[str, Any]:
    """`calibration` and `coverage`, as JSON takes them.

    Args:
        answers: to r requests.
        target: int64[r], catalogue rows of the true places.
        user: int[r].
        catalogue: all places.
    """
    listed = answers.rows >= 0
    said = expit(answers.scores[listed])
    chosen = (answers.rows == target[:, None])[listed]
    whose = np.broadcast_to(user[:, None], listed.shape)[listed]
    first = np.take_along_axis(
        answers.rows, np.argsort(-answers.served, axis=1, kind="stable")[:, :LISTED], axis=1
    )
    shown = np.zeros(len(catalogue), bool)
    shown[first[first >= 0]] = True
    there = ~catalogue.closed
    cells = coverage_cells(catalogue.lat[there], catalogue.lng[there], shown[there])
    return {
        "calibration": [asdict(one) for one in calibration_bins(said, chosen, whose)],
        "coverage": {
            "listed": LISTED,
            "requests": len(target),
            "shown": int(shown[there].sum()),
            "places": int(there.sum()),
            "cells": [asdict(cell) for cell in cells],
        },
    }


def bins_of(facts: Mapping[str, Any]) -> list[CalibrationBin]:
    """The bins of facts that came as JSON."""
    return [
        CalibrationBin(one["said"], Interval(**one["chosen"]), one["places"])
        for one in facts["calibration"]
    ]


def cells_of(facts: Mapping[str, Any]) -> list[Cell]:
    """The cells of facts that came as JSON."""
    return [Cell(**cell) for cell in facts["coverage"]["cells"]]
