"""A page: whole, escaped, and looked at in a real Chromium."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from models.bootstrap import Interval
from models.fitting import Epoch
from models.plots import losses
from models.report.charts import Chart, Row, Section, Table, bars
from models.report.page import Page, write
from tests.chromium import chromium

NASTY = '<script>alert(1)</script> & "quoted"'


def page() -> Page:
    """Every kind of part, and names as a producer may send them."""
    svg = losses({NASTY: [Epoch(0, 2.0, 2.5, 0.1), Epoch(1, 1.0, 1.5, 0.1)]})
    data = Table("epochs", ("epoch", "loss"), (Row(("0", "2.0")),), folded=True)
    (bar,) = bars([Interval(1, 0, 2)])
    wide = Table(NASTY, ("slice", "", *("a long title",) * 9), (Row((NASTY, *("1.23",) * 9), bar),))
    return Page(
        "Report of " + NASTY,
        "One sentence.",
        {"users": "12"},
        [
            Section("Curves", NASTY, (Chart("curve", "Loss", NASTY, svg, data),)),
            Section("Slices", parts=(wide,), says=(NASTY,)),
        ],
    )


def test_what_others_wrote_is_text() -> None:
    """No name becomes a tag, in titles, cells, words and pictures."""
    html = page().html()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 6


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with chromium() as opened:
        yield opened


@pytest.mark.parametrize("width", [1_280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen_and_asks_for_nothing(
    browser: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    """One request, the file; nothing wider than the screen; the ground follows the scheme."""
    write(page(), tmp_path / "deep" / "report.html")
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    opened = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: complaints.append(message.text))
    opened.goto((tmp_path / "deep" / "report.html").as_uri())
    assert len(asked) == 1
    assert complaints == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    ground = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(244, 245, 247)", "dark": "rgb(15, 18, 22)"}[scheme]
    picture = opened.get_by_role("img", name=NASTY)
    box = picture.bounding_box()
    assert box is not None
    assert 200 < box["width"] <= width
    opened.locator("summary").click()
    assert opened.get_by_role("cell", name="2.0").is_visible()
    context.close()
