"""Compiled loops: nothing is compiled while a request waits, and they need no place to be kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: what other tests have compiled would hide what is missing.
_ASK = """
import numpy as np
from contracts.events import Location, PlaceDocument
from contracts.ids import id64
from online_features.catalogue import Catalogue
from online_features.columns import EventColumns
from online_features.compiled import LOOPS
from online_features.context import situation
from online_features.definitions import PLACE, USER
from online_features.keys import Keys
from online_features.place_shelf import PlaceShelf
from online_features.request import ranking_features
from online_features.warm_up import compile_loops

def made():
    return {f"{f.py_func.__module__}.{f.py_func.__name__}": len(f.signatures) for f in LOOPS}

compile_loops()
before = made()
now_s, n = 1_753_444_800.0, 3_000
rng = np.random.default_rng(1)
catalogue = Catalogue()
for i in range(n):
    lat, lng = rng.normal(0, 0.02, 2)
    catalogue.upsert(PlaceDocument(
        place_id=f"p{i}", location=Location(40 + lat, -74 + lng), category=f"c{i % 9}",
        price_level=1 + i % 4, rating=4.0, review_count=i, time_zone="America/New_York",
        holiday_calendar="US" if i % 2 else None, business_hours={"mon": ["09:00-17:00"]},
        special_hours={"2025-07-25": ["10:00-11:00"]} if i % 3 else None))
for i in range(50):
    catalogue.upsert(PlaceDocument(place_id=f"p{i}", location=Location(40.0, -74.0), version=2))
    catalogue.close(f"p{i + 50}")
events = EventColumns.of(user=[1] * 90, place=[id64(f"p{i}") for i in range(90)],
                         kind=[i % 4 for i in range(90)],
                         time_s=[now_s - 600 * i for i in range(90)])
person, places = USER.empty(1), PLACE.empty(200)
USER.fold(person, np.zeros(90, np.int64), events)
PLACE.fold(places, np.arange(90), events)
here = situation(40.0, -74.0, now_s, None, stale_s=60.0)
for radius_m, limit in ((500.0, 200), (9_000.0, 200), (9_000.0, 50_000)):
    rows, _ = catalogue.near(40.0, -74.0, radius_m, limit)
    assert len(rows)
    rows = rows[:200]
    shelf = PlaceShelf(Keys("ps", 3))
    keys = shelf.keys(rows, catalogue.place_ids)
    shelf.put(rows, keys, PLACE.pack(places)[: len(rows)], shelf.ask(), watched=False)
    shelved = shelf.values(rows, now_s)
    for user in (USER.empty(1), USER.unpack(USER.pack(person))[0]):
        for seen in (places[: len(rows)], shelved):
            assert np.isfinite(ranking_features(user, seen, rows, here, catalogue)).all()
    catalogue.open_state(rows, now_s)
after = made()
assert after == before, {name for name in after if after[name] != before[name]}
assert sum(before.values()) > 8
"""


def _run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_warming_up_compiles_all_that_a_request_runs_through() -> None:
    """Whatever user, places and hours come then: each loop knows the types already."""
    done = _run(_ASK)
    assert done.returncode == 0, done.stderr


_METRES = "from online_features.geo import metres_between as m; print(round(m(0, 0, 0, 1)))"


def _loops(folder: Path, ending: str) -> list[Path]:
    return sorted(folder.glob(f"loops-*/*/*.{ending}"))


def test_code_that_cannot_be_kept_is_compiled_all_the_same(tmp_path: Path) -> None:
    """An image whose file system is read-only: nothing is left elsewhere, either."""
    nowhere = tmp_path / "file"
    nowhere.touch()
    done = _run(_METRES, NUMBA_CACHE_DIR=str(nowhere / "cache"), HOME=str(tmp_path))
    assert done.stdout.split() == ["111195"], done.stderr
    assert list(tmp_path.iterdir()) == [nowhere]


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_damaged_code_is_compiled_anew_and_kept(tmp_path: Path, ending: str) -> None:
    """As a machine without power leaves it: the next start is as the first."""
    kept = {"NUMBA_CACHE_DIR": str(tmp_path)}
    _run(_METRES, **kept)
    (damaged,) = _loops(tmp_path, ending)
    whole = damaged.stat().st_size
    damaged.write_bytes(damaged.read_bytes()[: whole // 2])
    again = _run(_METRES, **kept)
    assert again.stdout.split()[-1] == "111195", again.stderr
    assert "loop_not_readable" in again.stdout
    quiet = _run(_METRES, **kept)
    assert quiet.stdout.split() == ["111195"], quiet.stdout


def test_code_of_other_sources_is_removed_but_for_the_newest(tmp_path: Path) -> None:
    """Each change of a source leaves a folder."""
    for i in range(6):
        (tmp_path / f"loops-{i}").mkdir()
        os.utime(tmp_path / f"loops-{i}", (i, i))
    (tmp_path / "other").mkdir()
    _run(_METRES, NUMBA_CACHE_DIR=str(tmp_path))
    left = {path.name for path in tmp_path.iterdir()}
    assert {"loops-3", "loops-4", "loops-5", "other"} < left
    assert len(left) == 5
