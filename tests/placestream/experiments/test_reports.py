"""The words of a report."""

import pytest

from placestream.experiments.reports import span


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(8.6, "9 s"), (60, "1.0 minutes"), (5_400, "1.5 hours"), (7 * 86_400, "7.0 days")],
)
def test_a_duration_is_told_in_its_own_unit(seconds: float, said: str) -> None:
    """A canary of a minute is no "0.00 days"."""
    assert span(seconds) == said
