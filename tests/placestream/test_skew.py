"""`placestream skew`: answers logged as a brute-force recompute would have made them, and worse."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer

from contracts.events import Impression, Location, ServedPlace, encode
from contracts.ids import id64
from contracts.kafka import producer_config
from contracts.settings import Settings
from contracts.topics import Topics
from online_features.archive import ArrivalLog, read_arrivals, read_catalogue
from online_features.context import situation
from online_features.definitions import FEATURE_SET, PLACE
from online_features.erased import erase
from online_features.past import ContextPast
from online_features.replay import fold_all
from online_features.request import RANKING_COLUMNS, ranking_features
from placestream.simulation.command import open_source
from placestream.simulation.to_archive import write_archive
from placestream.skew import report as skew_report
from placestream.skew.comparison import Asked, NothingToCompare, run
from placestream.skew.report import Skew

DAY_S = 86_400.0
NOW_S = 1_760_000_000.0
Change = Callable[[Impression], Impression]


@pytest.fixture(scope="module")
def archive_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small city's week; every event was received at its own time."""
    directory = tmp_path_factory.mktemp("archive")
    source = open_source(ending_s=NOW_S, seed=3, users=20, places=40, days=4)
    write_archive(source, directory)
    return directory


@dataclass
class Service:
    """Makes answers by brute force: all states folded anew for each, from a cut log."""

    archive_dir: Path
    log: ArrivalLog

    def answer(self, number: int, time_s: float, *, lag_s: float = 0.0) -> Impression:
        """An answer that knows what was received up to `lag_s` before its moment."""
        rng = np.random.default_rng(number)
        catalogue = read_catalogue(self.archive_dir)
        known = self.log.take(self.log.received_s <= time_s - lag_s)
        known = known.take(np.lexsort((known.offset, known.received_s)))
        users, user_states, places, place_states = fold_all(known)
        user_id = str(rng.choice(known.user_id[-20:]))
        rows = rng.choice(len(catalogue), 8, replace=False)
        here = catalogue.lat[rows[0]] + 0.001, catalogue.lng[rows[0]] - 0.002
        context = ContextPast(self.archive_dir)
        region = catalogue.regions[catalogue.region[rows[0]]]
        at = situation(*here, time_s, context.at(region, time_s - lag_s), stale_s=10_800)
        crowd = PLACE.empty(8)
        for i, row in enumerate(rows):
            where = np.flatnonzero(places == catalogue.hash[row])
            if len(where):
                crowd[i] = place_states[where[0]]
        person = user_states[users == id64(user_id)]
        features = ranking_features(person, crowd, rows, at, catalogue)
        served = [
            ServedPlace(catalogue.ids[row], i, 0.0, features=features[i].tobytes())
            for i, row in enumerate(rows.tolist())
        ]
        return Impression(
            request_id=f"r{number}",
            user_id=user_id,
            timestamp=datetime.fromtimestamp(time_s, UTC),
            location=Location(*(float(x) for x in here)),
            variant="stable",
            degradation="none",
            models={},
            feature_set=FEATURE_SET,
            places=served,
        )


@pytest.fixture
def service(archive_dir: Path) -> Service:
    """Over the whole archive."""
    return Service(archive_dir, read_arrivals(archive_dir))


@pytest.fixture
def compare(settings: Settings, topics: Topics, archive_dir: Path) -> Callable[..., Skew]:
    """Log answers in Kafka, then compare."""

    def log_and_compare(
        *answers: Impression, in_flight_s: float = 1.0, archive: Path = archive_dir
    ) -> Skew:
        producer = Producer(producer_config(settings))
        for answer in answers:
            producer.produce(topics.impressions.name, encode(answer), answer.user_id.encode())
        assert producer.flush(30) == 0
        # As if a while had passed: what is stamped in the very last second is left for later.
        used = settings.model_copy(update={"archive_dir": archive})
        return run(used, Asked(0.0, 100, in_flight_s=in_flight_s), lambda: time.time() + 60)

    return log_and_compare


def quiet_times(log: ArrivalLog, count: int, *, around_s: float) -> list[float]:
    """Moments in the last days around which no event came."""
    received = np.sort(log.received_s)
    gaps = np.diff(received)
    ends = np.flatnonzero((gaps > 2.5 * around_s) & (received[:-1] > NOW_S - 3 * DAY_S))
    picked = np.random.default_rng(1).choice(ends, count, replace=False)
    return [float(received[i] + gaps[i] / 2) for i in picked]


def counts(skew: Skew, what: str) -> dict[str, int]:
    """Columns that have any of a kind."""
    return {n: getattr(c, what) for n, c in skew.columns.items() if getattr(c, what)}


def test_answers_from_right_features_match(compare: Callable[..., Skew], service: Service) -> None:
    """Every value of every column, weather and catalogue among them."""
    moments = quiet_times(service.log, 12, around_s=1.0)
    found = compare(*(service.answer(i, at) for i, at in enumerate(moments)))
    assert counts(found, "mismatch") == counts(found, "undecided") == {}
    assert counts(found, "match") == dict.fromkeys(RANKING_COLUMNS, 12 * 8)
    assert found.mismatch_ratio == 0
    assert found.columns["favourite_log"].match


def test_features_that_lag_are_mismatches(compare: Callable[..., Skew], service: Service) -> None:
    """An answer that missed two days of events; the greatest difference is told with its place."""
    (at,) = quiet_times(service.log, 1, around_s=1.0)
    answer = service.answer(1, at, lag_s=2 * DAY_S)
    found = compare(answer)
    wrong = counts(found, "mismatch")
    assert {"user_since_activity_log", "user_visits_7d_log"} <= wrong.keys()
    assert not {"distance_log_km", "price_level", "review_count_log"} & wrong.keys()
    worst = found.columns["user_since_activity_log"].worst
    assert worst is not None
    column = RANKING_COLUMNS.index("user_since_activity_log")
    assert worst.logged == pytest.approx(answer.places[0].values[column])
    assert worst.difference == pytest.approx(worst.logged - worst.recomputed)
    assert (worst.request_id, worst.user_id) == ("r1", answer.user_id)
    assert f"{wrong['user_visits_7d_log']}" in json.dumps(json.loads(skew_report.as_json(found)))


def test_events_in_flight_match_either_way(compare: Callable[..., Skew], service: Service) -> None:
    """An answer just after an event of its user: seen or not seen, both are right."""
    event = np.flatnonzero(service.log.received_s > NOW_S - 2 * DAY_S)
    seen, unseen = [], []
    for number, i in enumerate(event[::40][:6].tolist()):
        at = float(service.log.received_s[i]) + 0.3
        seen.append(service.answer(number, at))
        unseen.append(service.answer(100 + number, at, lag_s=0.6))
    found = compare(*seen, *unseen)
    assert counts(found, "mismatch") == {}
    assert sum(counts(found, "undecided").values()) == 0
    late = compare(in_flight_s=0.2)
    assert sum(counts(late, "mismatch").values()) > 0, "with a narrow window the unseen are wrong"


def test_columns_by_the_card_of_the_model(
    compare: Callable[..., Skew], service: Service, settings: Settings
) -> None:
    """A column that is not logged is missing, one that is not defined is extra; names decide."""
    (at,) = quiet_times(service.log, 1, around_s=1.0)
    answer = service.answer(1, at)
    logged = [name for name in RANKING_COLUMNS if name != "price_level"]
    places = [
        ServedPlace(
            p.place_id,
            p.position,
            p.score,
            features=[9.0, *(float(p.values[RANKING_COLUMNS.index(n)]) for n in logged)],
        )
        for p in answer.places
    ]
    card = settings.models_dir / "ranker" / "7" / "assets.extra" / "placestream.json"
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"columns": ["moon_phase", *logged]}))
    found = compare(changed(answer, models={"ranker": 7}, places=places))
    assert counts(found, "missing") == {"price_level": 8}
    assert counts(found, "extra") == {"moon_phase": 8}
    assert counts(found, "mismatch") == {}
    assert counts(found, "match") == dict.fromkeys(logged, 8)


def test_what_cannot_be_compared_is_told(compare: Callable[..., Skew], service: Service) -> None:
    """Degraded answers, ones without features, of unknown columns, of other definitions."""
    (at,) = quiet_times(service.log, 1, around_s=1.0)
    good = service.answer(1, at)
    bare = [ServedPlace(p.place_id, p.position, p.score) for p in good.places]
    with pytest.raises(NothingToCompare, match="1 degraded, 1 without_features"):
        compare(changed(good, degradation="partial"), changed(good, places=bare))
    older = changed(good, feature_set="0-0")
    found = compare(good, older)
    assert found.passed_over == {"degraded": 1, "without_features": 1, "columns_unknown": 1}
    assert found.answers == 1


def test_the_erased_are_passed_over(
    compare: Callable[..., Skew], service: Service, archive_dir: Path, tmp_path: Path
) -> None:
    """The archive knows nothing of them any more: all of their features would be wrong."""
    (at,) = quiet_times(service.log, 1, around_s=1.0)
    theirs, another = service.answer(1, at), service.answer(2, at)
    assert theirs.user_id != another.user_id
    archive = tmp_path / "archive"
    shutil.copytree(archive_dir, archive)
    erase(archive, [theirs.user_id], at + 1)
    found = compare(theirs, another, archive=archive)
    assert found.passed_over == {"erased": 1}
    assert found.answers == 1


def changed(answer: Impression, **fields: object) -> Impression:
    """The same answer with other fields."""
    whole = {name: getattr(answer, name) for name in answer.__struct_fields__}
    return Impression(**(whole | fields))
