"""The dashboards' files are those of the code, and say what a person needs to read them."""

import itertools
import json
from typing import Any

import pytest

from placestream.dashboards.__main__ import DASHBOARDS
from placestream.dashboards.board import (
    Board,
    Panel,
    Query,
    Row,
    counted,
    mean,
    number,
    quantiles,
    rate,
)
from placestream.dashboards.boards import BOARDS
from placestream.dashboards.grafana import as_grafana

by_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)


def test_files_are_up_to_date() -> None:
    """Whoever changes a dashboard runs `make stubs`; no file is left of one that is gone."""
    files = {file.stem: file.read_text(encoding="utf-8") for file in DASHBOARDS.iterdir()}
    assert files == {board.name: as_grafana(board) for board in BOARDS}


@by_board
def test_a_row_of_panels_fills_the_width(board: Board) -> None:
    """No panel is wider than what is left beside it: Grafana would not wrap it."""
    for row in board.rows:
        ends = itertools.accumulate(panel.width for panel in row.panels)
        starts = (end - panel.width for end, panel in zip(ends, row.panels, strict=True))
        for start, panel in zip(starts, row.panels, strict=True):
            assert start % 24 + panel.width <= 24, panel.title


@by_board
def test_titles_are_found_by(board: Board) -> None:
    """A runbook names a panel by its title: there is one of it on a dashboard."""
    titles = [panel.title for panel in board.panels]
    assert sorted(set(titles)) == sorted(titles)


def shown(panel: Panel) -> Any:
    """A panel, as Grafana gets it."""
    text = as_grafana(Board("b", "placestream / B", (Row("Now", (panel,)),)))
    _, found = json.loads(text)["panels"]
    return found


def test_marks_become_colours() -> None:
    """What an alert calls bad is red: above a mark, or below it; without a mark nothing is."""
    above = number("T", "what", "s", "x", bad_above=2)
    below = number("T", "what", "s", "x", bad_below=2)
    colours = [
        [
            (step["value"], step["color"])
            for step in shown(p)["fieldConfig"]["defaults"]["thresholds"]["steps"]
        ]
        for p in (above, below, number("T", "what", "s", "x"))
    ]
    assert colours == [
        [(None, "green"), (2, "red")],
        [(None, "red"), (2, "green")],
        [],
    ]


def test_what_is_rare_says_why() -> None:
    """Instead of "No data" the panel tells why there may be none."""
    asked = (Query("x", rare="nobody calls"), Query("y"), Query("z", rare="nobody calls"))
    panel = shown(Panel("T", "what", "s", asked))
    assert panel["fieldConfig"]["defaults"]["noValue"] == "nobody calls"
    assert [query["refId"] for query in panel["targets"]] == ["A", "B", "C"]


def test_numbers_ask_for_now_and_lines_for_the_past() -> None:
    """An instant query where one number is shown."""
    (now,) = shown(number("T", "what", "s", "x"))["targets"]
    (past,) = shown(Panel("T", "what", "s", (Query("x"),)))["targets"]
    assert (now["instant"], now["range"]) == (True, False)
    assert (past["instant"], past["range"]) == (False, True)


def test_queries_that_are_often_asked() -> None:
    """The helpers write what a person would."""
    assert rate("a_total", "b").expr == "sum by (b) (rate(a_total[$__rate_interval]))"
    assert counted("a_total", "b", "c").expr == "sum by (b, c) (increase(a_total[1h]))"
    assert counted("a_total", "b", "c").legend == "{{b}} {{c}}"
    assert mean("a", "mean").expr == (
        "sum(rate(a_sum[$__rate_interval])) / (sum(rate(a_count[$__rate_interval])) > 0)"
    )
    half, most, _ = quantiles("a", "m", '{c="d"}')
    assert half.expr == (
        'histogram_quantile(0.5, sum by (m, le) (rate(a_bucket{c="d"}[$__rate_interval])))'
    )
    assert (half.legend, most.legend) == ("{{m}} p50", "{{m}} p95")
