"""Figures of trainings that were made up."""

import pytest

from benchmarks.report import as_json
from benchmarks.training_figures import Training, curve, of_city, slopes


def training(interactions: int, seconds: float, mb: float) -> Training:
    """Two stages: one with rows that takes a quarter of the time, one without."""
    stages = {
        "ranker": {"seconds": seconds / 4, "cpu_s": seconds / 2, "rows": 600, "peak_rss_mb": mb},
        "export": {"seconds": 3 * seconds / 4, "cpu_s": seconds / 2, "rows": 0, "peak_rss_mb": 9.0},
        "total": {"seconds": seconds, "cpu_s": seconds, "rows": 600, "peak_rss_mb": mb},
    }
    return Training.of({"interactions": interactions, "stages": stages})


def test_stages_and_the_whole_stand_beside_the_reference() -> None:
    """Two rounds of 120 and 60 s: a half and a quarter of the 240 s that they may take."""
    figures = of_city([training(12_000, 120, 500.0), training(12_000, 60, 700.0)])
    told = as_json(figures, {})
    assert (told["ranker_s_min"], told["ranker_s_max"]) == (15, 30)
    assert (told["ranker_rows_per_s_min"], told["ranker_rows_per_s_max"]) == (20, 40)
    assert told["ranker_cores"] == 2
    assert told["export_peak_MB"] == 9
    assert "export_rows_per_s" not in told
    assert told["reference_s"] == 240
    assert (told["total__per__reference_ratio_min"], told["total__per__reference_ratio_max"]) == (
        0.25,
        0.5,
    )
    assert (told["interactions_rows_per_s_min"], told["interactions_rows_per_s_max"]) == (100, 200)


def test_slopes_are_of_what_a_further_row_costs() -> None:
    """Nine thousand more rows take 90 MB and 18 s more; time grows with the power log10(20 / 2)."""
    cities = [training(1_000, 2, 100.0), training(10_000, 20, 190.0)]
    told = slopes(cities)
    assert told["slope_bytes_per_row"] == 10_000
    assert told["slope_bytes_per_row_by_size"] == [10_000]
    assert told["slope_us_per_row"] == 2_000
    assert told["time_exponent"] == pytest.approx(1.0)
    names = {(figure.name, figure.unit): figure.median for figure in curve(cities)}
    assert names["simulated 10000", "peak MB"] == 190
    assert names["simulated 1000", "rows/s"] == 500
    assert names["simulated 1000 ranker", "s"] == 0.5
