"""What a ranker leans on: how much worse its order gets when one of its inputs says nothing.

Permutation importance (Breiman 2001; Fisher, Rudin and Dominici 2019) of whole answers: an input
is given the values of other rows, the first places of each answer are ordered anew, and NDCG@10 of
the same requests is compared. What is the same for all places of a request (the user, the hour, the
weather) is exchanged between requests, so that it stays the same within each. Inputs that tell the
same share their importance: of two that stand in for each other neither is missed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contracts.ids import as_int64
from contracts.signatures import PARTS
from models.bootstrap import Interval, intervals
from models.comparison import gained
from models.holdout import Holdout, Ranked
from models.scoring import Scorer
from online_features.catalogue import Catalogue
from online_features.request import RANKING_COLUMNS

#: So many requests, and of each the first so many places as ranked: each place costs the ranker's
#: time once for each input, and what stands far behind seldom comes among the first ten.
REQUESTS, FIRST = 100, 30
#: Before the name of an input that the candidate model tells.
PART = "part: "
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Importance:
    """Of one input.

    Attributes:
        name: of a ranking column, or `PART` and the name of a part.
        loss: mean NDCG@10 that goes with it, with a 95 % interval over users; about 0 where it
            says nothing that others do not say.
    """

    name: str
    loss: Interval


@dataclass(frozen=True)
class Seen:
    """Answers with what the ranker saw of each place; see `models.holdout.Ranked`.

    Attributes:
        rows: int64[r, k], catalogue rows as the ranker ordered them; -1 pads.
        scores: float32[r, k]; -inf where padded.
        features, parts: float32[r, k, F] and float32[r, k, len(PARTS)].
    """

    rows: NDArray[np.int64]
    scores: Floats
    features: Floats
    parts: Floats


SEEN = ("rows", "scores", "features", "parts")


def importances(
    holdout: Holdout,
    ranked: Ranked,
    scorer: Scorer,
    *,
    seed: int,
    requests: int = REQUESTS,
    report: Callable[[], object] = lambda: None,
) -> list[Importance]:
    """Importance of every input of the ranker that differs at all, the greatest first.

    Args:
        holdout: the requests.
        ranked: their answers, of this pair.
        scorer: the pair.
        seed: draws the requests and the permutations.
        requests: at most so many.
        report: called after each input.
    """
    chosen = drawn(len(ranked.rows), seed, requests)
    seen = Seen(**{name: getattr(ranked, name)[chosen] for name in SEEN})
    target, user = holdout.moments.place[chosen], holdout.moments.user[chosen]
    return of_answers(seen, target, user, holdout.catalogue, scorer, seed=seed, report=report)


def drawn(count: int, seed: int, requests: int = REQUESTS) -> NDArray[np.int64]:
    """Which of so many requests importance is measured on, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:requests])


def of_answers(
    seen: Seen,
    target: NDArray[np.int64],
    user: NDArray[np.uint64],
    catalogue: Catalogue,
    scorer: Scorer,
    *,
    seed: int,
    report: Callable[[], object] = lambda: None,
) -> list[Importance]:
    """As `importances`, of all these answers.

    Args:
        seen: of r requests; the first `FIRST` places of each are ordered anew.
        target: int64[r], catalogue rows of what was chosen.
        user: uint64[r], hashes of who asked.
        catalogue: of the places.
        scorer: the pair that answered.
        seed: draws the permutations.
        report: called after each input.
    """
    rng = np.random.default_rng(seed)
    answers = Seen(**{name: values[:, :FIRST] for name, values in vars(seen).items()})
    before = gained(answers.rows, answers.scores, target)
    names, losses = [], []
    for name, changed in _permuted(answers, rng):
        report()
        if changed is not None:
            names.append(name)
            scores = _scores(catalogue, changed, user, scorer)
            losses.append(before - gained(changed.rows, scores, target))
    if not names:
        return []
    found = map(Importance, names, intervals(np.stack(losses, axis=1), user, seed=seed))
    return sorted(found, key=lambda one: -one.loss.value)


def _permuted(answers: Seen, rng: np.random.Generator) -> Iterator[tuple[str, Seen | None]]:
    """Each input's name, and the answers with it permuted; `None` if it is the same everywhere."""
    listed = answers.rows >= 0
    for i, column in enumerate(RANKING_COLUMNS):
        features = _with(answers.features, i, listed, rng)
        yield column, None if features is None else replace(answers, features=features)
    for i, part in enumerate(PARTS):
        parts = _with(answers.parts, i, listed, rng)
        yield PART + part, None if parts is None else replace(answers, parts=parts)


def _with(
    values: Floats, column: int, listed: NDArray[np.bool_], rng: np.random.Generator
) -> Floats | None:
    """Inputs float32[r, k, f] with one of them exchanged; `None` if it is the same everywhere."""
    other = exchanged(values[:, :, column], listed, rng)
    if other is None:
        return None
    whole = values.copy()
    whole[:, :, column] = other
    return whole


def exchanged(values: Floats, listed: NDArray[np.bool_], rng: np.random.Generator) -> Floats | None:
    """An input with its values exchanged; `None` if there is but one value.

    Args:
        values: float32[r, k].
        listed: bool[r, k], which are of a place; the first of each request is, if any.
        rng: draws the permutation.

    Returns:
        float32[r, k]: permuted among requests if each request has one value, else among all rows.
    """
    known = values[listed]
    if not len(known) or np.array_equal(known, np.full_like(known, known[0]), equal_nan=True):
        return None
    first = np.broadcast_to(values[:, :1], values.shape)
    if np.array_equal(first[listed], known, equal_nan=True):
        asked = np.flatnonzero(listed.any(axis=1))
        result = values.copy()
        result[asked] = values[rng.permutation(asked), :1]
        return result
    result = values.copy()
    result[listed] = rng.permutation(known)
    return result


def _scores(
    catalogue: Catalogue, answers: Seen, user: NDArray[np.uint64], scorer: Scorer
) -> Floats:
    """The scores that the ranker gives to the same candidates now, float32[r, k]."""
    request, column = np.nonzero(answers.rows >= 0)
    place = answers.rows[request, column]
    said = scorer.rank(
        answers.features[request, column],
        answers.parts[request, column],
        as_int64(user[request]),
        as_int64(catalogue.hash[place]),
        as_int64(catalogue.category_hash[place]),
    )
    scores = np.full(answers.rows.shape, -np.inf, np.float32)
    scores[request, column] = said["score"]
    return scores
