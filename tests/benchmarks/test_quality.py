"""The README's table and plot, from figures made up here."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.quality_figures import COLUMNS, figures, markdown, of_city
from benchmarks.quality_plot import draw
from models.bootstrap import Interval
from models.quality.newcomers import play_newcomers
from models.quality.ranks import Ranks
from models.quality.requests import Cuts, Requests
from placestream.evaluation.business import Business
from placestream.evaluation.judged import Judged, Verdict
from placestream.evaluation.next_place import Outcome
from placestream.evaluation.simulated import Regret
from tests.models.quality.towns import drawn_town


def _at(value: float) -> Interval:
    return Interval(value, value - 0.1, value + 0.1)


LED_TO = Business(_at(0.2), _at(0.4), _at(3.5), _at(21.0))
REGRETS = {"nearest open": Regret(_at(2.0), _at(1.0), _at(0.3), LED_TO)}


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """One of ours that is always right, one baseline that is always tenth."""
    town = drawn_town()
    cuts = Cuts.of(len(town), (0.8, 0.1, 0.1))
    requests = Requests.of(town, cuts)
    newcomers = play_newcomers(requests, seed=1)

    def judged(name: str, rank: float, *, ours: bool) -> Judged:
        every = np.full(len(requests), rank)
        ranks = Ranks(every, np.where(requests.is_new, rank, np.nan))
        played = np.full(len(newcomers.requests), rank)
        facts = {"streams": ours}
        return Judged(name, ours, {"frozen": ranks, "stream": ranks}, played, facts)

    share = {"recall_all": 1.0, "recall_new": 0.5}
    ours = replace(judged("placestream", 1.0, ours=True), candidates={"stream": share})
    verdict = Verdict(requests, newcomers, 1)
    return Outcome(verdict, [ours, judged("nearest", 10.0, ours=False)], cuts)


def test_a_figure_for_each_contestant_and_column(outcome: Outcome) -> None:
    """Least and greatest are the bounds of the interval."""
    found = {figure.name: figure for figure in figures(outcome)}
    assert len(found) == 2 * len(COLUMNS)
    assert found["placestream, all R at 5"].values == pytest.approx((1, 1, 1))
    assert found["nearest, discover NDCG at 10"].median == pytest.approx(1 / np.log2(11))


def test_the_table_has_a_row_for_each_contestant_and_mode_that_differ(outcome: Outcome) -> None:
    """Ours in bold and twice, the baseline that does not stream once."""
    text = markdown(outcome, REGRETS)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    names = [row.split(" | ")[0].removeprefix("| ") for row in rows]
    assert names[2:5] == ["**placestream (stream)**", "**placestream (frozen)**", "nearest"]
    assert "0.500 of the new ones" in text
    # Always first against always tenth: 1 against 1 / log2(11), surely.
    size = f"{outcome.verdict.sizes['all']:,}"
    row = f"| all | {size} | 1.000 (1.000 to 1.000) | nearest | 0.289 | 0.711 (0.711 to 0.711) |"
    assert row in rows
    assert "| nearest open | 2.00 (1.90 to 2.10) |" in text
    assert "0.40 (0.30 to 0.50) | 3.50 (3.40 to 3.60) | 21.0 (20.9 to 21.1) |" in text


def test_regrets_are_figures_too() -> None:
    """Seven of each way to choose: what was missed, and what was done."""
    assert [figure.median for figure in of_city(REGRETS)] == [2.0, 1.0, 0.3, 0.2, 0.4, 3.5, 21.0]


def test_the_plot_is_drawn_and_the_same_twice(outcome: Outcome, tmp_path: Path) -> None:
    """Valid SVG that names every contestant, in which nothing changes from run to run."""
    drawn = []
    for name in ("a.svg", "b.svg"):
        draw(outcome, tmp_path / name)
        drawn.append((tmp_path / name).read_text())
    assert drawn[0] == drawn[1]
    assert ElementTree.fromstring(drawn[0]).tag.endswith("svg")
    assert "<!-- placestream -->" in drawn[0]
    assert "<!-- nearest -->" in drawn[0]
