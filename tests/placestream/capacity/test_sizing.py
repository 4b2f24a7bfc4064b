"""Plans against numbers worked out by hand."""

import dataclasses
import json
import tomllib
from importlib.resources import files

import numpy as np
import pytest
from typer.testing import CliRunner

from placestream.capacity.constants import FILE, BadConstants, Constants, Prices, load
from placestream.capacity.load import Load
from placestream.capacity.redis_shards import GIB
from placestream.capacity.scenario import simulate
from placestream.capacity.sizing import make_plan
from placestream.cli import app

PRICES = Prices(core_hour=1.0, gib_hour=0.0, disk_gib_month=0.0)


def constants(**changed: float) -> Constants:
    """Round numbers; some of them others."""
    round_ones = dict.fromkeys((f.name for f in dataclasses.fields(Constants)), 1.0)
    kept = {"places_per_request": 200.0, "user_bytes": 1_000.0, "place_bytes": 500.0}
    return Constants(**(round_ones | kept | changed))


def test_every_constant_has_a_source_and_is_read() -> None:
    """One file; a constant that is missing, unknown or of no source is refused."""
    per, _ = load()
    assert min(dataclasses.astuple(per)) > 0
    text = files("placestream.capacity").joinpath(FILE).read_text()
    table = tomllib.loads(text)["constants"]
    with pytest.raises(BadConstants, match="places_per_request"):
        Constants.of({k: v for k, v in table.items() if k != "places_per_request"})
    with pytest.raises(BadConstants, match="nobody"):
        Constants.of(table | {"nobody": {"value": 1, "source": "x"}})
    with pytest.raises(BadConstants, match="no source"):
        Constants.of(table | {"worker_gib": {"value": 1}})


def test_workers_have_room_and_one_to_spare() -> None:
    """120,000 events/s of 10 us are 1.2 cores: two at 60 %, and one more; partitions for twice."""
    plan = make_plan(Load(1, 1, 120_000, 0), constants(worker_us_per_event=10), PRICES)
    assert (plan.part("stream workers").number, plan.partitions) == (3, 8)
    plan = make_plan(Load(1, 1, 1_200_000, 0), constants(worker_us_per_event=10), PRICES)
    assert (plan.part("stream workers").number, plan.partitions) == (21, 64)


def test_a_hot_place_is_warned_of() -> None:
    """One partition has one core, however many workers there are."""
    per = constants(worker_us_per_event=20)
    assert make_plan(Load(1, 1, 1e6, 0, 0.01), per, PRICES).warnings == ()
    (warning,) = make_plan(Load(1, 1, 1e6, 0, 0.1), per, PRICES).warnings
    assert "keeps 1.0 cores busy" in warning


def test_answers_are_work_for_workers_and_fill_the_archive() -> None:
    """2,000 answers/s of 300 us are 0.6 cores; 10,000 bytes each, a year of them at 1 a GiB."""
    per = constants(worker_us_per_answer=300, archive_bytes_per_answer=10_000)
    asked = Load(1, 1, 0, 2_000, mean_ratio=1.0)
    assert make_plan(asked, per, PRICES).part("stream workers").number == 2
    more = make_plan(Load(1, 1, 0, 2_001), per, PRICES)
    assert more.part("stream workers").number == 3
    disk = Prices(core_hour=0, gib_hour=0, disk_gib_month=1)
    disks = [
        make_plan(asked, dataclasses.replace(per, archive_bytes_per_answer=b), disk).month
        for b in (0.0, 10_000.0)
    ]
    assert disks[1] - disks[0] == pytest.approx(2_000 * 10_000 * 365 * 86_400 / GIB)


def test_shards_that_stand_idle_are_warned_of() -> None:
    """Busy with reads of eight partitions' places: one shard each, and one in a hand-made split."""
    per = constants(redis_us_per_command=10, redis_us_per_key=1)
    (warning,) = make_plan(Load(1, 1, 0, 10_000), per, PRICES).warnings
    assert "8 do, with 8 partitions, if you deal out the slots" in warning


def test_crowds_that_are_read_too_late_are_warned_of() -> None:
    """2,000 places a second: 900,000 in half of the 15 minutes for which a crowd counts."""
    per = constants(catalogue_bytes_per_place=1)
    assert make_plan(Load(1, 900_000, 0, 0), per, PRICES).warnings == ()
    (warning,) = make_plan(Load(1, 1_200_000, 0, 0), per, PRICES).warnings
    assert "takes 10 minutes to read the crowd" in warning


def test_a_month_is_paid_by_the_core() -> None:
    """Two workers, shard and replica, two of serve, two model servers, three brokers of two."""
    assert make_plan(Load(1, 1, 0, 0), constants(), PRICES).month == pytest.approx(14 * 730)


@pytest.mark.parametrize("bad", [(0, 1, 1, 1), (1, 1, -1, 1), (1, 1, 1, 1, 1.0)])
def test_an_absurd_load_is_refused(bad: tuple[float, ...]) -> None:
    """In words, before anything is reckoned."""
    with pytest.raises(ValueError, match="must"):
        Load(*bad)  # type: ignore[arg-type]


def test_a_plan_holds_in_the_simulation() -> None:
    """No queue worth the name: the 99th percentile is near the work itself; a shard is survived."""
    per, prices = load()
    plan = make_plan(Load(100_000, 10_000, 3_000, 100), per, prices)
    found = simulate(plan, per, np.random.default_rng(1))
    work_ms = per.serve_ms_per_request + per.model_ms_per_request
    assert work_ms * 0.7 < found.p50_ms < found.p99_ms < 5 * work_ms
    assert found.lost_one_p99_ms >= found.p99_ms
    assert per.failover_s < found.caught_up_s < 3 * per.failover_s
    assert simulate(plan, per, np.random.default_rng(1)) == found, "a run repeats to the bit"


def test_the_command_answers_programs_too() -> None:
    """The same plan as JSON, with the caller's prices."""
    asked = ["--users", "1000", "--places", "100", "--events-per-s", "0", "--requests-per-s", "0"]
    prices = ["--core-hour", "1", "--gib-hour", "0", "--disk-gib-month", "0"]
    result = CliRunner().invoke(app, ["plan", *asked, *prices, "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["month"] == pytest.approx(14 * 730)
    assert told["simulated"]["backlog_events"] == 0
    shown = CliRunner().invoke(app, ["plan", *asked])
    assert "Redis shards" in shown.stdout
    assert "of a measured 50/s" in " ".join(shown.stdout.split())
    assert CliRunner().invoke(app, ["plan", *asked, "--hot-share", "2"]).exit_code == 1
