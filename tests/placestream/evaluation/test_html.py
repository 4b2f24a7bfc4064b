"""The page of the published protocol; those of the others are tested where they are judged."""

from placestream.evaluation.html import page_of
from placestream.evaluation.published import METRICS, PRINTED


def test_published_figures_stand_apart_from_ours() -> None:
    """Ours with intervals and what may be read; those of papers in a table of their own."""
    figures = {m: {"value": 0.25, "low": 0.2, "high": 0.3} for m in METRICS}
    report = {
        "protocol": "trajectories",
        "file": "nyc.csv",
        "trajectories_judged": 1_234,
        "check_ins": 100,
        "users": 9,
        "places": 8,
        "seed": 17,
        "contestants": [{"name": "placestream", "level": "stream", "ours": True, **figures}],
        "printed": {name: dict(zip(METRICS, row, strict=True)) for name, row in PRINTED.items()},
    }
    methods, papers = page_of(report).sections
    (ours,) = methods.parts[0].rows  # type: ignore[union-attr]
    assert ours.cells == ("placestream", "stream", "0.250", "0.250", "0.250", "0.250")
    assert ours.bar is not None
    (table,) = papers.parts
    assert {row.cells[0] for row in table.rows} == set(PRINTED)  # type: ignore[union-attr]
    assert "1,234 trajectories" in page_of(report).lead
