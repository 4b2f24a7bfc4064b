"""Figures of served answers, each against scikit-learn's own."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, ndcg_score, roc_auc_score

from models.negatives import PER_POSITIVE
from models.outcomes import Windows
from retrain.outcome_join import OutcomeJoin
from retrain.served_accuracy import upper_bound
from retrain.served_quality import MOST_KEPT, Quality, ServedQuality, accuracy_of
from tests.retrain.answers_and_outcomes import done, served

PLACES = 10
NAMES = [f"p{i}" for i in range(PLACES)]
END = done("nobody", "nowhere", "click", 1e7)
WINDOWS = Windows(1_800, 14_400)


class Drawn:
    """Answers with probabilities, of which half lead to a visit that follows them."""

    def __init__(self, seed: int, count: int = 300) -> None:
        rng = np.random.default_rng(seed)
        self.probability = -np.sort(-rng.dirichlet(np.full(PLACES, 0.5), count), axis=1) * 0.8
        chosen = [rng.choice(PLACES, p=row / row.sum()) for row in self.probability]
        self.place = np.where(rng.random(count) < 0.5, chosen, -1)
        self.clicked = rng.random(count) < 0.4
        self.rating = rng.integers(1, 6, count)
        self.dwell_s = rng.uniform(60, 6_000, count)

    @property
    def labels(self) -> np.ndarray:
        labels: np.ndarray = self.place[:, None] == np.arange(PLACES)
        return labels

    def into(self, joining: OutcomeJoin, variant: str = "stable", version: int = 1) -> None:
        for i, row in enumerate(self.probability):
            name, at_s = f"{variant}{version}-{i}", 10.0 * i
            answer = served(name, name, at_s, NAMES, row.tolist(), variant=variant, version=version)
            joining.shown([answer])
            if self.clicked[i]:
                joining.happened([done(name, "p0", "click", at_s + 1)])
            if (place := self.place[i]) >= 0:
                visit = done(name, NAMES[place], "visit", at_s + 5, dwell_s=self.dwell_s[i])
                bad = done(name, "p3", "rate", at_s + 9, rating=min(2, self.rating[i]))
                joining.happened([visit, bad])


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return Drawn(1)


def told(joining: OutcomeJoin, most: int = 10_000) -> dict[tuple[str, int], Quality]:
    quality = ServedQuality(most)
    joining.happened([END])
    quality.update(joining.advance())
    return quality.all()


@pytest.fixture(scope="module")
def quality(drawn: Drawn) -> Quality:
    joining = OutcomeJoin(WINDOWS, 10_000)
    drawn.into(joining)
    return told(joining)["stable", 1]


def test_counts_and_shares(drawn: Drawn, quality: Quality) -> None:
    """Clicks and visits over answers; means of what was rated and stayed."""
    chosen = drawn.place >= 0
    assert (quality.answers, quality.choices) == (len(chosen), chosen.sum())
    assert quality.click_through == pytest.approx(drawn.clicked.mean())
    assert quality.conversion == pytest.approx(chosen.mean())
    assert quality.rated == chosen.sum()
    assert quality.rating == pytest.approx(np.minimum(2, drawn.rating)[chosen].mean())
    assert quality.dwell_s == pytest.approx(drawn.dwell_s[chosen].mean())


def test_auc_and_log_loss_are_scikit_learns(drawn: Drawn, quality: Quality) -> None:
    """Over all places of all answers."""
    labels, probability = drawn.labels.ravel(), drawn.probability.ravel()
    assert quality.auc == pytest.approx(roc_auc_score(labels, probability))
    assert quality.log_loss == pytest.approx(log_loss(labels, np.clip(probability, 1e-7, 1)))


def test_calibration_error_by_its_definition(drawn: Drawn, quality: Quality) -> None:
    """Ten equal bins: the gap of share and mean probability, weighted by rows."""
    labels, probability = drawn.labels.ravel(), drawn.probability.ravel()
    gaps = 0.0
    for low, high in pairwise(np.arange(11) / 10):
        mine = (probability >= low) & (probability < high)
        if mine.any():
            gaps += mine.mean() * abs(labels[mine].mean() - probability[mine].mean())
    assert quality.calibration_error == pytest.approx(gaps)


def test_ndcg_is_scikit_learns(drawn: Drawn, quality: Quality) -> None:
    """Of the order as shown, where something was chosen."""
    chosen = drawn.labels[drawn.place >= 0]
    order = np.broadcast_to(-np.arange(PLACES), chosen.shape)
    assert quality.ndcg_at_10 == pytest.approx(ndcg_score(chosen, order, k=10))


def test_accuracy_is_scikit_learns_on_the_same_five() -> None:
    """Five places are shown, so that the four others are known: each verdict at even odds."""
    probability = [0.3, 0.1, 0.05, 0.05, 0.02]
    rows = np.array(probability) / sum(probability)
    for place, right in ((0, 1.0), (1, 0.6)):
        joining = OutcomeJoin(WINDOWS, 10)
        joining.shown([served("r", "u", 0, NAMES[:5], probability)])
        joining.happened([done("u", NAMES[place], "visit", 5)])
        expected = accuracy_score(np.arange(5) == place, rows >= 0.5)
        assert told(joining)["stable", 1].accuracy == pytest.approx(expected) == right


def test_who_always_says_no_has_four_fifths() -> None:
    """The mark below which a training is asked for is what knowing nothing gives."""
    joining = OutcomeJoin(WINDOWS, 10)
    joining.shown([served("r", "u", 0, NAMES, [0.05] * PLACES)])
    joining.happened([done("u", "p7", "visit", 5)])
    quality = told(joining)["stable", 1]
    assert quality.accuracy == pytest.approx(PER_POSITIVE / (1 + PER_POSITIVE))
    assert quality.judged == 1
    assert np.isnan(quality.accuracy_high)


def test_the_bound_of_the_accuracy_is_that_of_its_users() -> None:
    """Two users, one always right and one always wrong, who choose ten times each."""
    joining = OutcomeJoin(WINDOWS, 100)
    users, values = [], []
    for i in range(20):
        user, right = f"u{i % 2}", i % 2 == 0
        joining.shown([served(f"r{i}", user, 10.0 * i, NAMES[:5], [0.6, 0.1, 0.1, 0.1, 0.1])])
        joining.happened([done(user, "p0" if right else "p1", "visit", 10.0 * i + 5)])
        users.append(i % 2)
        values.append(1.0 if right else 0.6)
    quality = told(joining)["stable", 1]
    assert quality.accuracy == pytest.approx(0.8)
    assert quality.accuracy_high == pytest.approx(upper_bound(np.array(values), np.array(users)))


def test_too_few_places_say_nothing_of_accuracy() -> None:
    """Four shown are three others."""
    joining = OutcomeJoin(WINDOWS, 10)
    joining.shown([served("r", "u", 0, NAMES[:4])])
    joining.happened([done("u", "p0", "visit", 5), END])
    joined = joining.advance()
    assert [accuracy_of(answer) for answer in joined.chosen] == [None]
    assert np.isnan(told(joining).get(("stable", 1), _nothing()).accuracy)


def _nothing() -> Quality:
    nan = float("nan")
    return Quality(0, 0, 0, 0, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan)


def test_variants_and_versions_are_told_apart(drawn: Drawn) -> None:
    """A canary's good luck is not the stable's."""
    joining = OutcomeJoin(WINDOWS, 10_000)
    drawn.into(joining)
    Drawn(2, 100).into(joining, "canary", 2)
    found = told(joining)
    assert set(found) == {("stable", 1), ("canary", 2)}
    assert found["stable", 1].answers == 300
    assert found["canary", 2].answers == 100


def test_figures_are_of_the_newest_answers(drawn: Drawn) -> None:
    """Of three hundred the last fifty."""
    joining = OutcomeJoin(WINDOWS, 10_000)
    drawn.into(joining)
    quality = told(joining, most=50)["stable", 1]
    assert quality.answers == 50
    assert quality.conversion == pytest.approx((drawn.place[-50:] >= 0).mean())


def test_the_version_that_nobody_is_answered_with_is_forgotten() -> None:
    """Eight canaries failed beside version 1, which goes on answering: the first canary goes."""
    joining, quality = OutcomeJoin(WINDOWS, 100), ServedQuality(100)
    canaries = range(2, MOST_KEPT + 2)
    for version in canaries:
        at_s = 1e5 * version
        old = served(f"old{version}", "u", at_s, NAMES)
        new = served(f"new{version}", "v", at_s, NAMES, variant="canary", version=version)
        joining.shown([old, new])
        joining.happened([done("nobody", "nowhere", "click", at_s + 9e4)])
        quality.update(joining.advance())
    kept = {("canary", version) for version in canaries} - {("canary", 2)}
    assert set(quality.all()) == {("stable", 1)} | kept
    assert quality.all()["stable", 1].answers == MOST_KEPT


def test_nothing_known_is_nan() -> None:
    """Answers of which nothing came have no AUC, no rating, no accuracy."""
    joining = OutcomeJoin(WINDOWS, 10)
    joining.shown([served("r", "u", 0, NAMES)])
    quality = told(joining)["stable", 1]
    assert quality.conversion == 0
    assert np.isnan([quality.auc, quality.rating, quality.dwell_s, quality.accuracy]).all()
