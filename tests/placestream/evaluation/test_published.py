"""The published protocol on a small town."""

import json

import numpy as np
import pytest

from contracts.settings import Settings
from models.progress import SILENT
from models.quality.trajectories import find_trajectories
from models.scoring import Scorer
from online_features.history import history
from placestream.evaluation import published
from placestream.evaluation.material import Material
from placestream.evaluation.next_place import Options
from placestream.evaluation.published import requests_at, with_trajectory
from placestream.evaluation.served import ask

pytestmark = pytest.mark.slow

SHARES = (0.8, 0.1, 0.1)


def test_frozen_states_know_the_cut_and_the_trajectory_so_far(material: Material) -> None:
    """Visit by visit, newest first, up to the 48 that a state keeps; and not the target."""
    found = find_trajectories(material.visits, SHARES)
    kept = material.take(found.kept)
    visits = kept.visits
    for level in ("train", "frozen"):
        requests, mode = requests_at(kept, found, level)
        asked = ask(kept, requests.questions(mode))
        states = with_trajectory(asked, kept, found, requests.cut).states
        past = history(states)
        for i, (at, start) in enumerate(zip(found.at, found.start, strict=True)):
            mine = np.flatnonzero(visits.user[:at] == visits.user[at])
            mine = mine[(mine < requests.cut) | (mine >= start)][::-1][:48]
            assert past.ids[i][: len(mine)].tolist() == kept.events.place[mine].tolist()
            assert past.ids[i][len(mine)] == 0 or len(mine) == 48


def test_streamed_states_know_everything_before(material: Material) -> None:
    """The newest known visit is the previous one."""
    found = find_trajectories(material.visits, SHARES)
    kept = material.take(found.kept)
    requests, mode = requests_at(kept, found, "stream")
    past = history(ask(kept, requests.questions(mode)).states)
    previous = kept.visits.previous[found.at]
    assert past.ids[:, 0].tolist() == kept.events.place[previous].tolist()


@pytest.fixture(scope="module")
def found(material: Material, settings: Settings, scorer: Scorer) -> published.Found:
    # Trained once for all tests, on the same town and nearly the same cuts.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "fitted", lambda *_: scorer)
        return published.evaluate(material, Options(), settings, SILENT)


def test_everybody_is_judged_at_every_level(found: published.Found) -> None:
    """Ours and two baselines that stream at three levels; five that do not, at two."""
    rows = {(row.name, row.level) for row in found.rows}
    assert len(rows) == len(found.rows) == 3 * 3 + 5 * 2


def test_knowing_more_does_not_harm_a_habit(found: published.Found) -> None:
    """The counter of visits gains from the validation part, and from what came after."""
    by_level = {r.level: r.metrics["mrr"].value for r in found.rows if r.name.startswith("history")}
    assert by_level["train"] <= by_level["stream"] + 0.05


def test_the_report_stands_beside_what_was_printed(found: published.Found) -> None:
    """As JSON, with the published figures; as a table, the same."""
    report = json.loads(json.dumps(published.report(found, Options()), allow_nan=False))
    assert report["trajectories_judged"] == len(found.trajectories.at)
    assert report["printed"]["GETNext, as printed"]["recall_at_1"] == pytest.approx(0.244, abs=6e-4)
    assert published.table(found).row_count == len(found.rows) + 2
