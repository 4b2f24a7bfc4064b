"""What stages cost, by a clock that is moved by hand."""

import numpy as np
import pytest

from models import costs
from models.costs import Cost, Metered, total
from models.progress import SILENT


class Clock:
    """Wall and processor seconds."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.wall_s = self.cpu_s = 0.0

    def work(self, wall_s: float, cores: float) -> None:
        """Let time pass."""
        self.wall_s += wall_s
        self.cpu_s += cores * wall_s

    def __call__(self) -> tuple[float, float]:
        """As `costs._now` tells it."""
        return self.wall_s, self.cpu_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """In the place of the real one."""
    made = Clock()
    monkeypatch.setattr(costs, "_now", made)
    return made


def test_a_stage_costs_time_cores_and_rows(clock: Clock) -> None:
    """Three steps of ten rows in two seconds; what came before the stage is not its."""
    metered = Metered(SILENT)
    clock.work(5, cores=1)
    with metered.stage("ranker", 3, 10) as stage:
        clock.work(2, cores=1.5)
        stage.advance(2)
        stage.advance()
    (cost,) = metered.costs
    assert (cost.stage, cost.seconds, cost.rows) == ("ranker", 2, 30)
    assert cost.rows_per_s == 15
    assert cost.cpu_cores == 1.5


def test_a_stage_within_a_stage_is_measured_apart(clock: Clock) -> None:
    """Its time is not charged twice, and stages of one name add up."""
    metered = Metered(SILENT)
    with metered.stage("sets", None) as outer:
        for _ in range(2):
            clock.work(1, cores=1)
            with metered.stage("tables", None) as inner:
                clock.work(4, cores=2)
                inner.advance(7)
        outer.advance(3)
        clock.work(1, cores=1)
    found = {cost.stage: cost for cost in metered.costs}
    assert (found["tables"].seconds, found["tables"].cpu_s, found["tables"].rows) == (8, 16, 14)
    assert (found["sets"].seconds, found["sets"].cpu_s, found["sets"].rows) == (3, 3, 3)
    assert total(metered.costs).seconds == clock.wall_s


def test_a_stage_that_fails_is_measured(clock: Clock) -> None:
    """A training that ran out of something says where."""
    metered = Metered(SILENT)

    def run_out() -> None:
        with metered.stage("sets", None):
            clock.work(3, cores=1)
            raise MemoryError

    with pytest.raises(MemoryError):
        run_out()
    with metered.stage("after", None):
        clock.work(1, cores=1)
    assert [cost.seconds for cost in metered.costs] == [3, 1]


def test_memory_is_that_of_the_stage() -> None:
    """A hundred megabytes that were given back are not charged to what comes after."""
    metered = Metered(SILENT)
    with metered.stage("large", None):
        np.ones(100 * 2**20, np.uint8)
    with metered.stage("small", None):
        pass
    large, small = metered.costs
    assert large.peak_rss_mb > small.peak_rss_mb + 50


def test_the_whole_adds_times_and_takes_the_highest_memory() -> None:
    """Rows are not added: the same go through one stage after another."""
    whole = total([Cost("a", 1.0, 2.0, 50, 700.0), Cost("b", 3.0, 2.0, 20, 300.0)])
    assert whole == Cost("total", 4.0, 4.0, 50, 700.0)
    assert whole.figures() == {
        "seconds": 4.0,
        "cpu_cores": 1.0,
        "peak_rss_mb": 700.0,
        "rows_per_s": 12.5,
    }
