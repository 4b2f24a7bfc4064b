"""Bars and pictures as parts of a page."""

import re

from models.bootstrap import Interval
from models.fitting import Epoch
from models.plots import ACCENT, losses
from models.report.charts import Chart, bars, tone


def test_bars_share_one_scale_with_what_they_are_compared_with() -> None:
    """From -1 to 3 over 2 to 98 per cent: 0 is at a quarter of it."""
    first, second = bars([Interval(1, -1, 3), Interval(0, 0, 0)], tones=["", "good"])
    assert (first.low, first.value, first.high) == (2, 50, 98)
    assert (first.zero, second.zero) == (26, 26)
    assert (second.low, second.high, second.tone) == (26, 26, "good")


def test_bars_of_nothing_and_of_one_point() -> None:
    """No division by nothing."""
    assert bars([]) == []
    (only,) = bars([Interval(0, 0, 0)])
    assert (only.low, only.high) == (2, 2)


def test_a_tone_only_where_it_is_sure() -> None:
    """An interval around 0 says neither."""
    assert [
        tone(Interval(v, lo, hi)) for v, lo, hi in ((1, 0.5, 2), (-1, -2, -0.5), (0, -1, 1))
    ] == [
        "good",
        "bad",
        "",
    ]


def test_a_picture_follows_the_scheme_and_keeps_its_ids_to_itself() -> None:
    """Two of them on a page: no id twice, every reference met, no colour of our own left."""
    svg = losses({"ranker": [Epoch(0, 2.0, 2.5, 0.1), Epoch(1, 1.0, 1.5, 0.1)]})
    assert ACCENT in svg
    pages = [Chart(name, "t", "says", svg).inline for name in ("one", "two")]
    both = "".join(pages)
    assert ACCENT not in both
    assert "var(--accent)" in both
    ids = re.findall(r'\bid="([^"]+)"', both)
    assert len(ids) == len(set(ids)) > 0
    said = {"one-says", "two-says"}
    refers = set(re.findall(r'href="#([^"]+)"', both)) | set(re.findall(r"url\(#([^)]+)\)", both))
    assert refers
    assert refers <= {*ids, *said}
    assert 'role="img" aria-labelledby="one-says"' in pages[0]
