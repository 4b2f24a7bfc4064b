"""What a training takes from served answers: their features, their labels, and when."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from contracts.events import Impression, Location, ServedPlace, encode
from contracts.settings import Settings
from contracts.signatures import PARTS
from models import fit_pair
from models.choice_sets import ChoiceSets
from models.dataset import build, situations
from models.impressions import Lessons, lessons
from models.listwise import NOT_THERE
from models.merged_sets import joined
from models.moments import Moments
from models.progress import SILENT
from models.rows import gathered
from models.served_columns import CARD
from models.shown_features import ServedAnswers
from models.train import TrainedPair, train_pair
from models.training_rows import Dataset
from online_features.archive import read_interactions
from online_features.archive_schema import IMPRESSIONS
from online_features.columns import VISIT
from online_features.crowds import crowd_of
from online_features.definitions import FEATURE_SET
from online_features.impressions import read_impressions
from online_features.replay import fold_all
from online_features.request import RANKING_COLUMNS, ranking_features
from streams.archive import by_day, write_whole
from streams.impressions import decode_impressions
from tests.models.conftest import Data
from tests.streams.stream import Sent

HOUR = 3_600.0
STALE_S = 3 * HOUR
#: The parts of a log of two weeks that judge are a day long: no label may wait for a day.
WINDOW_S = 6 * HOUR
#: Seconds from an answer to the visit that it leads to.
AHEAD_S = 600.0
SHOWN = 10


def _answers(data: Data, count: int, seed: int) -> list[Impression]:
    """Answers shortly before visits of the city, the visited place among them, at the third.

    What was logged is told from what is recomputed: all features are 7, all parts 5.
    """
    rng = np.random.default_rng(seed)
    log, catalogue = read_interactions(data.archive_dir), data.catalogue
    visits = np.flatnonzero(log.kind == VISIT)
    answers = []
    for at in np.sort(rng.choice(visits, count, replace=False)).tolist():
        others = rng.permutation(len(catalogue))
        ids = [catalogue.ids[row] for row in others if catalogue.ids[row] != log.place_id[at]]
        places = [*ids[:2], log.place_id[at], *ids[2 : SHOWN - 1]]
        features = np.full(len(RANKING_COLUMNS), 7.0, np.float32).tobytes()
        parts = np.full(len(PARTS), 5.0, np.float32).tobytes()
        row = catalogue.row_of(log.place_id[at])
        answers.append(
            Impression(
                request_id=f"r{at}",
                user_id=log.user_id[at],
                timestamp=datetime.fromtimestamp(log.time_s[at] - AHEAD_S, UTC),
                location=Location(float(catalogue.lat[row]) + 0.01, float(catalogue.lng[row])),
                variant="stable",
                degradation="none",
                models={"candidates": 1, "ranker": 1},
                feature_set=FEATURE_SET,
                places=[
                    ServedPlace(place, k, -float(k), 0.1, features=features, parts=parts)
                    for k, place in enumerate(places)
                ],
            )
        )
    return answers


def _card(root: Path, version: int, **changes: Any) -> None:
    """The card of a pair: today's columns and parts, of a training that knew of nothing here."""
    card = {"columns": RANKING_COLUMNS, "parts": PARTS, "data": {"last_s": 0.0}} | changes
    for model in ("ranker", "candidates"):
        file = root / model / str(version) / CARD
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(card))


def _served(root: Path, data: Data, answers: Iterable[Impression]) -> ServedAnswers:
    """Answers in an archive, made by version 1 of a pair."""
    records: Any = [Sent(0, i, 4_000_000_000_000, b"", encode(a)) for i, a in enumerate(answers)]
    for part, folder in by_day(decode_impressions(records).table(), root / IMPRESSIONS):
        write_whole(part, folder)
    _card(root, 1)
    return ServedAnswers(read_impressions(root), root, root, data.context)


@pytest.fixture(scope="module")
def dataset(data: Data) -> Dataset:
    """The parts of the city's log."""
    return build(
        data.log,
        data.catalogue,
        data.context,
        seed=5,
        max_events=10**9,
        stale_s=STALE_S,
        train_rows=False,
    )


@pytest.fixture(scope="module")
def until_s(dataset: Dataset) -> float:
    """When the part that judges begins."""
    return float(dataset.validation.moments.time_s.min())


@pytest.fixture(scope="module")
def served(data: Data, tmp_path_factory: pytest.TempPathFactory) -> ServedAnswers:
    """Four hundred answers over the whole log."""
    return _served(tmp_path_factory.mktemp("served"), data, _answers(data, 400, 1))


def _settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, attribution_visit_s=WINDOW_S, **changes)


def _lessons(data: Data, served: ServedAnswers, until_s: float, **changes: Any) -> Lessons:
    return lessons(served, data.log, data.catalogue, _settings(**changes), until_s)


@pytest.fixture(scope="module")
def found(data: Data, served: ServedAnswers, until_s: float) -> Lessons:
    """What they teach who are settled before the judges begin."""
    return _lessons(data, served, until_s)


@pytest.fixture(scope="module")
def sets(found: Lessons) -> ChoiceSets:
    """As choice sets."""
    return joined(found.sets())


def test_only_answers_that_were_settled_before_the_cut_teach(
    data: Data, served: ServedAnswers
) -> None:
    """A state knows what lies before its answer, and a label was known before the cut."""
    until_s = float(served.log.time_s[250]) + HOUR
    found = _lessons(data, served, until_s)
    moments = found.moments
    assert len(moments) == found.facts["choice_sets"] > 200
    assert moments.time_s.max() + WINDOW_S < until_s
    assert moments.known_s.max() < until_s
    assert (np.diff(moments.before) >= 0).all()
    assert (data.log.time_s[moments.before] >= moments.time_s).all()
    assert (data.log.time_s[moments.before - 1] < moments.time_s).all()
    before = served.log.time_s < until_s
    waiting = served.log.time_s[before] + WINDOW_S >= until_s
    assert found.facts["answers"] == before.sum() < len(served.log)
    assert found.facts["waiting_for_their_window"] == waiting.sum() > 0
    assert found.facts["visited"] >= len(moments)


def test_a_set_is_the_visit_beside_what_was_shown(
    data: Data, served: ServedAnswers, sets: ChoiceSets
) -> None:
    """Place by place as it stood in the answer, at the moment and from the spot of the request."""
    by_time = {
        (u, t): i for i, (u, t) in enumerate(zip(served.log.user, served.log.time_s, strict=True))
    }
    exact = 0
    for i in range(0, len(sets), 29):
        moment = sets.moments.take(slice(i, i + 1))
        answer = by_time[moment.user[0], moment.time_s[0]]
        rows = data.catalogue.rows_of(served.log.place[served.log.rows_of(np.array([answer]))])
        places = sets.places[i, :SHOWN]
        assert sorted(places.tolist()) == sorted(rows.tolist())
        assert [p for p in rows.tolist() if p != places[0]] == places[1:].tolist()
        visit = np.flatnonzero(
            (data.log.user == moment.user[0])
            & (data.log.place == data.catalogue.hash[places[0]])
            & (data.log.kind == VISIT)
            & (data.log.time_s >= moment.time_s[0])
        )[0]
        assert data.log.time_s[visit] == moment.known_s[0]
        exact += moment.known_s[0] == pytest.approx(moment.time_s[0] + AHEAD_S)
        assert moment.place[0] == places[0]
        assert moment.lat[0] == served.log.lat[answer]
    assert exact >= 5
    assert set(np.unique(sets.log_expected[:, :SHOWN]).tolist()) <= {0.0, NOT_THERE}
    assert (sets.log_expected[:, 0] == 0).all()
    assert (sets.log_expected[:, SHOWN:] == NOT_THERE).all()


def test_features_and_parts_are_those_that_were_served(found: Lessons, sets: ChoiceSets) -> None:
    """Seven and five everywhere, as logged; where nothing stands, nothing."""
    assert (sets.features[:, :SHOWN] == 7).all()
    assert not sets.features[:, SHOWN:].any()
    assert sets.told is not None
    assert (sets.told[:, :SHOWN] == 5).all()
    assert np.isnan(sets.told[:, SHOWN:]).all()
    counts = [found.facts[f"{what}_as_logged"] for what in ("features", "parts")]
    assert counts == [len(sets)] * 2
    assert found.facts["features_recomputed"] == found.facts["parts_recomputed"] == 0


def _as_the_fold_has_it(data: Data, moments: Moments, places: Any) -> tuple[Any, Any]:
    """Features and crowd of one set's places from a fold of what lies before it."""
    before = data.log.take(slice(0, int(moments.before[0])))
    users, user_states, known, place_states = fold_all(before)
    states = np.zeros(len(places), place_states.dtype)
    for k, place in enumerate(data.catalogue.hash[places].tolist()):
        states[k] = place_states[known == place][0] if place in known else states[k]
    features = ranking_features(
        user_states[users == moments.user[0]],
        states,
        places.astype(np.int64),
        situations(data.context, data.catalogue, moments, stale_s=STALE_S),
        data.catalogue,
    )
    return features.astype(np.float16), crowd_of(states, moments.time_s[0])


@pytest.mark.parametrize(
    ("changes", "features", "parts"),
    [
        ({}, True, True),
        ({"feature_set": "older"}, False, False),
        ({"degradation": "partial"}, False, False),
        ({"models": {"candidates": 1, "ranker": 2}}, False, False),
        ({"models": {"candidates": 1}}, False, False),
        ({"models": {"candidates": 2, "ranker": 1}}, True, False),
        ({"models": {"candidates": 3, "ranker": 1}}, True, False),
        ({"models": {"candidates": 4, "ranker": 1}}, True, False),
    ],
)
def test_what_would_be_other_today_is_recomputed(
    data: Data, until_s: float, tmp_path: Path, changes: dict[str, Any], features: bool, parts: bool
) -> None:
    """Of other definitions, of a stand-in, of a version (2) whose columns and parts differ, or (3)
    that is not there any more, or (4) whose tables may have counted the visit."""
    answers = [msgspec.structs.replace(a, **changes) for a in _answers(data, 3, 3)]
    served = _served(tmp_path, data, answers)
    _card(tmp_path, 2, columns=[*RANKING_COLUMNS[:-1], "moon_phase"], parts=PARTS[1:])
    _card(tmp_path, 4, data={"last_s": until_s})
    found = _lessons(data, served, until_s)
    sets = joined(found.sets())
    assert len(sets) > 0
    assert found.facts["features_as_logged"] == len(sets) * features
    assert found.facts["parts_as_logged"] == len(sets) * parts
    assert sets.told is not None
    assert (sets.told[:, :SHOWN] == 5).all() if parts else np.isnan(sets.told).all()
    for i in range(len(sets)):
        places = sets.places[i, :SHOWN]
        computed = _as_the_fold_has_it(data, sets.moments.take(slice(i, i + 1)), places)
        expected = np.full_like(computed[0], 7.0) if features else computed[0]
        np.testing.assert_array_equal(sets.features[i, :SHOWN], expected)
        if not parts:
            np.testing.assert_array_equal(sets.crowd[i, :SHOWN], computed[1])


def test_no_set_changes_with_what_comes_after_the_cut(
    data: Data, until_s: float, tmp_path: Path
) -> None:
    """Neither which sets there are, nor what is recomputed of them: the log may end there."""
    stale = [msgspec.structs.replace(a, feature_set="older") for a in _answers(data, 60, 4)]
    served = _served(tmp_path, data, stale)
    whole = joined(_lessons(data, served, until_s).sets())
    cut = data.log.take(data.log.time_s < until_s)
    short = joined(_lessons(replace(data, log=cut), served, until_s).sets())
    assert len(whole) > 30
    for name in (*ChoiceSets.ARRAYS, "told"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(short, name))


def test_no_set_knows_what_comes_after_its_answer(
    data: Data, until_s: float, tmp_path: Path
) -> None:
    """From a log that ends just before the choice, its features come out the same."""
    stale = [msgspec.structs.replace(a, feature_set="older") for a in _answers(data, 60, 4)]
    found = _lessons(data, _served(tmp_path, data, stale), until_s)
    whole = joined(found.sets())
    for i in (0, len(found) // 2, len(found) - 1):
        one = found.take(np.array([i]))
        past = replace(one, events=data.log.take(slice(0, int(one.moments.before[0]))))
        alone = joined(past.sets())
        np.testing.assert_array_equal(alone.features[0], whole.features[i])
        np.testing.assert_array_equal(alone.crowd[0], whole.crowd[i])
        np.testing.assert_array_equal(alone.users[0], whole.users[i])


@pytest.mark.slow
def test_sets_are_the_same_in_whatever_pieces_they_are_made(
    data: Data, until_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some are read, and some recomputed, in each."""
    answers = _answers(data, 60, 6)
    mixed = [
        msgspec.structs.replace(a, feature_set="older") if i % 3 else a
        for i, a in enumerate(answers)
    ]
    served = _served(tmp_path, data, mixed)
    whole = joined(_lessons(data, served, until_s).sets())
    monkeypatch.setattr("models.impressions.AT_ONCE", 7)
    found = _lessons(data, served, until_s)
    pieces = list(found.sets())
    assert {len(piece) for piece in pieces[:-1]} == {7}
    for name in (*ChoiceSets.ARRAYS, "told"):
        np.testing.assert_array_equal(getattr(joined(pieces), name), getattr(whole, name))
    assert 0 < found.facts["features_as_logged"] < len(whole)
    assert found.facts["features_as_logged"] + found.facts["features_recomputed"] == len(whole)


@pytest.mark.slow
def test_no_more_is_taken_than_the_setting_says(
    data: Data, served: ServedAnswers, until_s: float, found: Lessons
) -> None:
    """Evenly over the time; none where it says none."""
    whole = found.moments
    some = _lessons(data, served, until_s, train_max_impressions=50).moments
    assert len(some) == 50
    assert np.isin(some.time_s, whole.time_s).all()
    middle = np.median(whole.time_s)
    assert 10 < (some.time_s < middle).sum() < 40
    assert len(_lessons(data, served, until_s, train_max_impressions=0)) == 0


def test_answers_are_read_for_the_time_that_is_trained_on(data: Data, tmp_path: Path) -> None:
    """Of the newest events only; with none to learn from, nothing is read."""
    _served(tmp_path, data, _answers(data, 40, 5))
    settings = _settings(archive_dir=tmp_path, models_dir=tmp_path)
    newest = settings.model_copy(update={"train_max_rows": len(data.log) // 2})
    whole = ServedAnswers.read(settings, data.log, data.context)
    recent = ServedAnswers.read(newest, data.log, data.context)
    assert whole is not None
    assert recent is not None
    assert 0 < len(recent.log) < len(whole.log) == 40
    assert recent.log.time_s.min() >= data.log.time_s[-(len(data.log) // 2)]
    none = settings.model_copy(update={"train_max_impressions": 0})
    assert ServedAnswers.read(none, data.log, data.context) is None


def _learned(
    data: Data, dataset: Dataset, settings: Settings, served: ServedAnswers | None
) -> tuple[Any, Any, dict[str, int]]:
    """All sets to learn from, those that judge, and what was counted."""
    sets = fit_pair._sets(data.log, data.catalogue, dataset, settings, SILENT, served)
    return gathered(sets.learn), sets.judge, sets.served


@pytest.mark.slow
def test_served_sets_stand_among_the_drawn_ones_in_memory_and_in_files(
    data: Data, dataset: Dataset, training: Settings, served: ServedAnswers, tmp_path: Path
) -> None:
    """The drawn ones are as they were without them, to the bit, and so are those that judge."""
    settings = training.model_copy(
        update={"attribution_visit_s": WINDOW_S, "train_sets": 150, "models_dir": tmp_path}
    )
    bare, bare_judge, nothing = _learned(data, dataset, settings, None)
    learn, judge, facts = _learned(data, dataset, settings, served)
    assert nothing == {}
    shown = (learn["features"][:, :SHOWN] == 7).all(axis=(1, 2))
    assert shown.sum() == facts["choice_sets"] > 200
    assert (learn["parts"][shown, :SHOWN] == 5).all()
    assert learn["number"].tolist() == list(range(len(shown)))
    for name in ("places", "log_expected", "features"):
        np.testing.assert_array_equal(learn[name][~shown], bare[name])
        np.testing.assert_array_equal(judge[name], bare_judge[name])
    assert np.isfinite(learn["parts"]).all()
    few = settings.model_copy(update={"train_memory_mb": 1})
    from_files, judged, _ = _learned(data, dataset, few, served)
    for name, column in learn.items():
        np.testing.assert_array_equal(from_files[name], column)
        np.testing.assert_array_equal(judged[name], judge[name])


@pytest.mark.slow
def test_a_training_takes_them_and_its_card_says_so(
    data: Data, training: Settings, served: ServedAnswers, pair: TrainedPair
) -> None:
    """How many there were, what came of them, and how many taught; without any, nothing."""
    few = {"attribution_visit_s": WINDOW_S, "train_sets": 150, "train_epochs": 1}
    settings = training.model_copy(update=few)
    taught = train_pair(data.log, data.catalogue, data.context, settings, served=served)
    facts = taught.card["served_answers"]
    assert facts["choice_sets"] == facts["features_as_logged"] == facts["parts_as_logged"] > 200
    assert facts["visited"] >= facts["choice_sets"]
    assert np.isfinite(list(taught.metrics.values())).all()
    assert pair.card["served_answers"] == {}
