"""Regret where the truth is known."""

import numpy as np
import pytest

from contracts.settings import Settings
from models.progress import SILENT
from online_features.archive import read_catalogue, read_context, read_interactions
from placestream.evaluation import simulated
from placestream.evaluation.simulated import known_of, measure
from placestream.simulation.city import City
from placestream.simulation.plan import Plan
from placestream.simulation.to_archive import write_archive
from tests.placestream.evaluation.conftest import NEAREST

ENDING_S = 1_750_000_000.0


@pytest.fixture(scope="module")
def city() -> City:
    return City(Plan(users=80, places=120, days=12), ending_s=ENDING_S)


def test_it_is_known_as_the_archive_would_know_it(
    city: City, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Column by column what the worker's decoder and the archive's reader make of the messages."""
    archive = tmp_path_factory.mktemp("archive")
    write_archive(city, archive)
    known, expected = known_of(city), read_interactions(archive)
    for name in ("user", "place", "kind", "age_group"):
        assert np.array_equal(getattr(known.events, name), getattr(expected, name)), name
    for name in ("time_s", "rating", "lat", "lng"):
        assert getattr(known.events, name) == pytest.approx(
            getattr(expected, name), nan_ok=True, abs=1e-3
        ), name
    assert known.catalogue.ids == read_catalogue(archive).ids
    at = np.array([ENDING_S])
    spot = (np.array([0.0]), np.array([0.0]), at)
    there, then = (
        context.at(city.region, *spot, stale_s=1e9)
        for context in (known.context, read_context(archive))
    )
    assert there.temp[0] == then.temp[0]


def test_the_best_possible_has_no_regret_and_others_have(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By definition; and what is not best misses something, less of it with ten seen than one."""
    monkeypatch.setattr(simulated, "fitted", lambda *_: NEAREST)
    settings = Settings(_env_file=None, candidates=60)
    found = measure(city, settings, SILENT, requests=80, seed=1)
    best = found["best possible"]
    assert (best.first.value, best.of_ten.value) == (0, 0)
    for name in ("placestream", "nearest open"):
        assert found[name].first.value > found[name].of_ten.value > 0
        assert 0 < found[name].chance_in_ten.value < best.chance_in_ten.value
        assert found[name].business.click_through.value < best.business.click_through.value
        assert found[name].business.conversion.value < best.business.conversion.value


def test_regrets_are_what_the_true_utility_says(city: City) -> None:
    """Of any lists, worked out request by request: the best of all less the best of those shown."""
    _, first = np.unique(city.events.session, return_index=True)
    at = np.sort(first[~np.isnan(city.events.lat[first])])[-40:]
    lists = np.random.default_rng(3).integers(0, len(city.places), (len(at), 12))
    found = simulated._regrets(city, at, {"any": lists}, seed=1)["any"]
    every, missed = np.arange(len(city.places))[None, :], []
    for row, event in enumerate(at.tolist()):
        happened = city.events
        time_s = happened.time_ms[[event]] / 1_000
        worth = city.behaviour.utility(
            happened.user[[event]].astype(np.int64),
            every,
            time_s,
            happened.lat[[event]],
            happened.lng[[event]],
            city.sky.at(time_s),
        )[0].astype(float)
        shown = worth[lists[row, :10]]
        chance = np.exp(worth - worth.max()) / np.exp(worth - worth.max()).sum()
        among = chance[lists[row, :10]].sum()
        missed.append((worth.max() - shown[0], worth.max() - shown.max(), among))
    expected = np.mean(missed, axis=0)
    assert found.first.value == pytest.approx(expected[0], rel=1e-5)
    assert found.of_ten.value == pytest.approx(expected[1], rel=1e-5)
    assert found.chance_in_ten.value == pytest.approx(expected[2], rel=1e-4)
