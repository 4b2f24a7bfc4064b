"""The DAGs, run for real by an Airflow in an environment of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pyarrow.dataset as ds
import pytest
import redis

from contracts.events import RetrainRequested
from contracts.settings import Settings
from contracts.topics import Topics
from placestream.backfill.tables import TABLES, USER_DAILY
from placestream.stack.environment import environment
from retrain.keys import Keys
from retrain.triggers import TriggerState
from tests.placestream.backfill.archives import stream_and_archive
from tests.placestream.backfill.conftest import JAVA_OPTIONS
from tests.streams.stream import assert_equals_recompute, read_topic

ROOT = Path(__file__).parents[2]
DAGS = ROOT / "docker" / "airflow" / "dags"
PYTHON = ROOT / ".venv-airflow" / "bin" / "python"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3_600),
    pytest.mark.skipif(not PYTHON.exists(), reason="`.ci/setup.sh test-all` brings Airflow"),
]
pytest.importorskip("pyspark", reason="`.ci/setup.sh test-all` brings Spark")


class Airflow:
    """An Airflow with our DAGs and a database of its own."""

    def __init__(self, home: Path, settings: Settings) -> None:
        self.settings = settings
        self._environment = environment(settings) | {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PLACESTREAM_COMMAND": str(home / "placestream"),
            "PYTHONPATH": "",
            "PLACESTREAM_FIRST_DAY": "2025-01-01",
            "JAVA_TOOL_OPTIONS": JAVA_OPTIONS,
        }
        # This very tree, whatever the environment has installed.
        command = home / "placestream"
        command.write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m placestream "$@"\n')
        command.chmod(0o755)
        self("db", "migrate")

    def __call__(self, *arguments: str, deadlines: str = "off") -> str:
        """Run one command to its end; return what it said."""
        done = subprocess.run(
            [PYTHON, "-m", "airflow", *arguments],
            env=self._environment | {"PLACESTREAM_DAG_DEADLINES": deadlines},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=1_200,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4_000:]
        return done.stdout


@pytest.fixture
def airflow(settings: Settings, topics: Topics, tmp_path: Path) -> Airflow:
    """For an installation of its own, with topics."""
    home = tmp_path / "airflow"
    home.mkdir()
    own = {"backfill_dir": tmp_path / "backfill", "spark_master": "local[2]"}
    return Airflow(home, settings.model_copy(update=own))


def test_daily_features(airflow: Airflow, redis_client: redis.Redis) -> None:
    """A run makes its day and two before it, and the states; run again, nothing changes."""
    settings = airflow.settings
    stream_and_archive(settings, 5, 700)
    assert "No data found" in airflow("dags", "list-import-errors", deadlines="on")
    seen = []
    for _ in range(2):
        airflow("dags", "test", "placestream_features", "2025-06-14")
        found = [ds.dataset(t.folder(settings.backfill_dir), partitioning="hive") for t in TABLES]
        rows = (
            found[0]
            .to_table()
            .sort_by([("at_s", "ascending"), (USER_DAILY.id_column, "ascending")])
        )
        seen.append(rows.drop_columns(["day"]))
        assert set(rows["day"].to_pylist()) == {"2025-06-11", "2025-06-12", "2025-06-13"}
        assert found[1].count_rows() > 0
    assert seen[0].equals(seen[1])
    assert_equals_recompute(redis_client, settings)


def test_weekly_training_is_asked_for_once(airflow: Airflow, redis_client: redis.Redis) -> None:
    """Not before the models are a week old; then once, however often the run is repeated."""
    settings = airflow.settings

    def asked() -> list[RetrainRequested]:
        sent = read_topic(settings, settings.topics.retrain.name)
        return [msgspec.json.decode(m.value or b"", type=RetrainRequested) for m in sent]

    airflow("dags", "test", "placestream_training", "2025-06-16")
    assert asked() == []
    week_ago = TriggerState(since_s=time.time() - 8 * 86_400)
    redis_client.set(Keys(settings.key_prefix).triggers, msgspec.json.encode(week_ago))
    for _ in range(2):
        airflow("dags", "test", "placestream_training", "2025-06-16")
        assert [request.reason for request in asked()] == ["schedule"]
