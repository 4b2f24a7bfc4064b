"""What a pair of models served at training: the reference by which drift is judged later.

Of each column: bins cut at its quantiles, and the share of each bin as it swings with the hour of
the week (`models.rhythm`). Of all columns together: their mean embedding (`models.embedding`).
Answers of one user are alike, and so are the places of one answer; how much so is measured here
too, column by column, since a hundred answers of one user tell less than a hundred of a hundred.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.embedding import Embedding
from models.likeness import Likeness, crowding
from models.rhythm import Swing, rhythm
from models.served_answers import Answers
from models.steadiness import Parts, answers_of, drawn, kept_of
from models.targets import Targets

#: Beside a ranker's graph, where TensorFlow Serving looks for extra files.
FILE = Path("assets.extra") / "reference.npz"
BINS = 10
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Reference:
    """Distributions of F columns, at most B bins each; short columns are padded.

    Attributes:
        columns: their names.
        edges: float32[F, B - 2], ascending; padding is +inf, which nothing exceeds.
        shares: of the F B bins, as they swing with the week. Bin 0 of a column is of what is
            missing (NaN); bin 1 of values <= its first edge, then those up to the next.
        likeness: of a column's answers, [F].
        embedding: of all columns together; `embedding_likeness` of its rows, [].
        error: how the model's error swings with the week, d = 1; see `error_of`.
        offset_s: how far the users' clocks are ahead of UTC, seconds, about.
        answers: how many are behind it.
        crowding: of their users.
        targets: what was chosen, by the chance that the model gave it; None if that is not known.
        kept: of each column's rhythm, [F]; see `models.steadiness`. None: all, as it was fitted.
    """

    columns: tuple[str, ...]
    edges: Floats
    shares: Swing
    likeness: Likeness
    embedding: Embedding
    embedding_likeness: Likeness
    error: Swing
    offset_s: float
    answers: int
    crowding: float
    targets: Targets | None = None
    kept: NDArray[np.float64] | None = None

    @property
    def bins(self) -> int:
        """B."""
        return int(self.edges.shape[1]) + 2

    def phi(self, time_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `models.rhythm`: float64[n, K] of Unix seconds [n]."""
        return rhythm(time_s + self.offset_s)

    def bins_of(self, rows: Floats) -> NDArray[np.uint8]:
        """Bin uint8[F, k] of each value of float[k, F]."""
        return bins_of(rows, self.edges)

    def expected(self, phi: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shares float64[F, B] of answers whose mean phi this is; rows sum to 1."""
        raw = self.shares.at(phi).reshape(len(self.columns), self.bins).clip(min=0)
        shares: NDArray[np.float64] = raw / raw.sum(axis=1, keepdims=True)
        return shares

    def sizes(self, phi: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the reference is worth at `phi`, in independent rows: float64[F]."""
        return np.asarray(self.known(phi) / self.likeness.effect(self.crowding))

    def known(self, phi: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the reference is worth at `phi`, in answers: float64[F]."""
        if self.kept is None:
            return np.full(len(self.columns), self.shares.answers(phi))
        return answers_of(self._parts, self.kept, phi)

    @cached_property
    def _parts(self) -> Parts:
        return Parts.of(self.shares)


def _error_swing(answers: Answers, phi: NDArray[np.float64]) -> Swing:
    """Of the answers whose error is known; no rhythm where there are none."""
    if answers.error is None:
        return Swing.of(phi[:0], np.zeros((0, 1)))
    known = ~np.isnan(answers.error)
    return Swing.of(phi[known], answers.error[known, None])


def quantile_edges(values: Floats, bins: int = BINS) -> NDArray[np.float32]:
    """Inner edges at the quantiles; values that hold a whole bin get one to themselves.

    So a new category between two known ones, or below the least, is seen as new.
    """
    known = values[~np.isnan(values)].astype(np.float32)
    if not len(known):
        return np.zeros(0, np.float32)
    cuts = np.quantile(known, np.arange(1, bins) / bins, method="inverted_cdf")
    edges, count = np.unique(cuts.astype(np.float32), return_counts=True)
    few = np.unique(known)
    atoms = few if len(few) <= bins // 2 else edges[count > 1]
    below = np.nextafter(atoms, np.float32(-np.inf))
    return np.unique(np.concatenate([edges, atoms, below]))


def bins_of(rows: Floats, edges: Floats) -> NDArray[np.uint8]:
    """Bin uint8[F, k] of each value of float[k, F]: 0 for NaN, else 1 + the edges below it."""
    # float32 on both sides: an edge is a float32 feature value, and a column with few values
    # has all its mass exactly on edges. Columns lie apart, so that each comparison is one sweep.
    values = np.ascontiguousarray(rows.T, np.float32)
    bins: NDArray[np.uint8] = (values == values).astype(np.uint8)  # NaN is not itself
    for edge in edges.T:
        bins += values > edge[:, None]
    return bins


def answer_shares(
    bins: NDArray[np.uint8], first: NDArray[np.int64], width: int
) -> NDArray[np.float64]:
    """Share of each answer's places in each bin: float64[n, F, width] of bins [F, k]."""
    columns, rows = bins.shape
    count = np.diff(first)
    of = np.repeat(np.arange(len(count)), count)
    cells = (of * columns + np.arange(columns)[:, None]) * width + bins
    weights = np.broadcast_to(1 / count[of], (columns, rows))
    flat = np.bincount(cells.ravel(), weights.ravel(), minlength=len(count) * columns * width)
    return flat.reshape(len(count), columns, width).astype(np.float64, copy=False)


def reference_of(
    columns: Sequence[str],
    answers: Answers,
    rng: np.random.Generator,
    *,
    offset_s: float = 0.0,
    bins: int = BINS,
    targets: Targets | None = None,
) -> Reference:
    """The reference of what was served.

    Args:
        columns: names of the F columns.
        answers: what was served.
        rng: draws the embedding, and the place of each answer that it sees.
        offset_s: how far the users' clocks are ahead of UTC, about.
        bins: of a column, before values that hold one alone.
        targets: what was chosen, if that is known.

    Raises:
        ValueError: there are no answers.
    """
    if not len(answers):
        raise ValueError("a distribution needs at least one value")
    cuts = [quantile_edges(column, bins) for column in answers.values.T]
    edges = np.full((len(cuts), max(map(len, cuts), default=0)), np.inf, np.float32)
    for row, cut in zip(edges, cuts, strict=True):
        row[: len(cut)] = cut
    phi = rhythm(answers.time_s + offset_s)
    binned = bins_of(answers.values, edges)
    told = answer_shares(binned, answers.first, edges.shape[1] + 2)
    swing = Swing.of(phi, told.reshape(len(answers), -1))
    share = told.mean(axis=0)
    expected = swing.at(phi).reshape(told.shape)
    # Bins weigh by the inverse of their share, as in chi-square.
    scale = np.sqrt(np.maximum(share, 1e-12))
    likeness = Likeness.of(
        np.where(share > 0, (told - expected) / scale, 0),
        np.where(share > 0, 1 - share, 0),
        answers.user,
    )
    kept = kept_of(swing, share, np.asarray(likeness.effect(1), np.float64))
    rows = answers.drawn(rng)
    embedding = Embedding.of(rows, phi, rng)
    spread = np.sqrt((embedding.residuals**2).mean(axis=0))
    alike = Likeness.of(embedding.residuals, spread**2, answers.user)
    return Reference(
        columns=tuple(columns),
        edges=edges,
        shares=drawn(swing, kept),
        likeness=likeness,
        embedding=embedding,
        embedding_likeness=alike,
        error=_error_swing(answers, phi),
        offset_s=offset_s,
        answers=len(answers),
        crowding=crowding(answers.user),
        targets=targets,
        kept=kept,
    )
