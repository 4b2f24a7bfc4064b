"""The `placestream` command: help for newcomers, clear errors, and who is called with what."""

import inspect
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import structlog
import typer
from confluent_kafka import Consumer
from threadpoolctl import threadpool_info, threadpool_limits
from typer.testing import CliRunner

from contracts.events import RetrainRequested
from contracts.kafka import consumer_config
from contracts.settings import Settings
from contracts.topics import Topics
from placestream import try_it, up
from placestream.cli import app
from placestream.skew.comparison import Asked
from placestream.skew.report import ColumnSkew, Skew
from placestream.stack.environment import environment
from placestream.stack.ports import free_port

COMMANDS = {
    "stream",
    "serve",
    "model-server",
    "train",
    "retrain",
    "dlq",
    "drift",
    "experiments",
    "audit",
    "backfill",
    "plan",
    "rebuild",
    "skew",
    "evaluate",
    "replay",
    "simulate",
    "recommend",
    "demo",
    "up",
    "console",
    "token",
    "erase-user",
    "settings",
}
Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Run a command line in an empty directory, with the terminal wide enough for a table."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    before = (root.handlers, root.level)
    runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
    yield lambda *arguments, **more: runner.invoke(app, [str(a) for a in arguments], **more)
    root.handlers, root.level = before
    structlog.reset_defaults()


def stand_in(monkeypatch: pytest.MonkeyPatch, module: str, name: str, function: Run) -> None:
    """Put a module with one function where a command will import it from."""
    fake = ModuleType(module)
    setattr(fake, name, function)
    monkeypatch.setitem(sys.modules, module, fake)


def test_there_is_a_subcommand_for_each_role_and_task() -> None:
    """As the help of the command itself lists them."""
    group = typer.main.get_group(app)
    assert set(group.commands) == COMMANDS


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_tells_a_newcomer_what_it_needs_and_shows_an_example(run: Run, command: str) -> None:
    """What it does, what must run for it, and a line to copy."""
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"placestream {command}" in result.output.partition("Example:")[2]
    if command != "settings":
        assert re.search(r"\bNeeds\b", result.output)


def test_no_command_shows_the_help(run: Run) -> None:
    """Not an error about something missing."""
    output = run().output
    assert all(command in output for command in COMMANDS)


def test_version(run: Run) -> None:
    """The version of the package."""
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run("--version").output)


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("stream", "streams.worker"),
        ("serve", "inference.server"),
        ("model-server", "inference.model_server.server"),
        ("train", "models.train"),
        ("retrain", "retrain.daemon"),
    ],
)
def test_a_role_runs_with_the_settings(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, module: str
) -> None:
    """Each command calls its own entry point, once."""
    seen: list[Settings] = []
    stand_in(monkeypatch, module, "run", seen.append)
    monkeypatch.setenv("PLACESTREAM_SEED", "5")
    assert run(command).exit_code == 0
    assert [settings.seed for settings in seen] == [5]


def test_a_role_has_one_thread_for_its_matrices(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """More would spin on the cores of the roles beside it; who calls from Python keeps theirs."""
    seen: list[set[int]] = []

    def look(_: Settings) -> None:
        seen.append({library["num_threads"] for library in blas()})

    def blas() -> list[dict[str, Any]]:
        return [one for one in threadpool_info() if one["user_api"] == "blas"]

    stand_in(monkeypatch, "retrain.daemon", "run", look)
    with threadpool_limits(2, "blas"):
        assert run("retrain").exit_code == 0
        assert seen == [{1}]
        assert {library["num_threads"] for library in blas()} == {2}


def test_a_role_that_fails_exits_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever supervises it must see that."""

    def fail(_: Settings) -> None:
        raise OSError("disk full")

    stand_in(monkeypatch, "streams.worker", "run", fail)
    monkeypatch.setenv("PLACESTREAM_LOG_FORMAT", "json")
    result = run("stream")
    assert result.exit_code == 1
    line = json.loads(result.stderr)
    assert (line["role"], line["event"]) == ("stream", "failed")
    assert "disk full" in line["exception"]


def test_what_stands_in_the_way_is_a_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a person waits, the reason and not a traceback."""

    def fail(_: Settings) -> None:
        raise ValueError("the archive holds 3 events; 1000 are needed")

    stand_in(monkeypatch, "models.train", "run", fail)
    result = run("train")
    assert result.exit_code == 1
    assert result.output == "the archive holds 3 events; 1000 are needed\n"


def test_simulate_passes_on_what_it_was_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And what it was not told stays open."""
    seen: list[dict[str, Any]] = []
    stand_in(
        monkeypatch,
        "placestream.simulation.command",
        "simulate",
        lambda _settings, **options: seen.append(options),
    )
    file = tmp_path / "checkins.csv"
    file.touch()
    options = ["--users", 7, "--places", 8, "--days", 1.5, "--rate", 2, "--checkins", file]
    assert run("simulate", *options, "--seed", 3, "--string-ids").exit_code == 0
    assert run("simulate").exit_code == 0
    assert seen[0] == {
        "users": 7,
        "places": 8,
        "days": 1.5,
        "rate": 2,
        "checkins": file,
        "seed": 3,
        "string_ids": True,
    }
    assert (seen[1]["rate"], seen[1]["seed"], seen[1]["checkins"]) == (None, None, None)


def test_a_file_that_is_not_there_is_refused_at_once(run: Run) -> None:
    """Before anything is started."""
    result = run("demo", "--checkins", "nowhere.csv")
    assert result.exit_code == 2
    assert "nowhere.csv" in result.output


def test_demo_passes_on_what_it_was_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its settings."""
    seen: list[dict[str, Any]] = []
    stand_in(monkeypatch, "placestream.demo", "run", lambda _, **options: seen.append(options))
    assert run("demo", "--keep", "--svg", "demo.svg").exit_code == 0
    assert seen == [{"checkins": None, "keep": True, "svg": Path("demo.svg")}]


def test_replay_that_finds_differences_exits_with_1(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a script can ask."""
    for agrees, code in ((True, 0), (False, 1)):
        stand_in(monkeypatch, "placestream.replay", "run", lambda *_, agrees=agrees: agrees)
        assert run("replay").exit_code == code


def test_skew_beyond_what_is_allowed_exits_with_1(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One value of four is wrong: by default that is too much."""
    found = Skew(("rating",), 1e-5, columns={})
    found.columns["rating"] = ColumnSkew(match=3, mismatch=1)
    seen: list[Asked] = []

    def compare(_: Settings, asked: Asked) -> Skew:
        seen.append(asked)
        return found

    monkeypatch.setattr("placestream.skew.comparison.run", compare)
    assert run("skew").exit_code == 1
    told = run("skew", "--allow", 0.25, "--json", "--since", "2026-01-31", "--in-flight-ms", 250)
    assert told.exit_code == 0
    assert json.loads(told.output)["columns"]["rating"]["mismatch"] == 1
    assert seen[1] == Asked(since_s=1_769_817_600.0, in_flight_s=0.25)


def test_rebuild_passes_on_what_it_was_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """And asks before it deletes."""
    seen: list[dict[str, Any]] = []
    answers: list[bool] = []
    monkeypatch.setattr("placestream.rebuild.run.run", lambda *_, **options: seen.append(options))
    monkeypatch.setattr(
        "placestream.rebuild.drop_old.run",
        lambda _, __, confirm: answers.append(confirm("Delete?")),
    )
    assert run("rebuild").exit_code == 0
    assert run("rebuild", "--force", "--with-gaps").exit_code == 0
    assert seen == [{"force": False, "with_gaps": False}, {"force": True, "with_gaps": True}]
    assert run("rebuild", "--drop-old", input="n\n").exit_code == 0
    assert run("rebuild", "--drop-old", "--yes").exit_code == 0
    assert answers == [False, True]


def test_bad_settings_are_one_line_each_and_exit_2(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable, the fault and the value; no traceback."""
    monkeypatch.setenv("PLACESTREAM_PARTITIONS", "none")
    monkeypatch.setenv("PLACESTREAM_SERVE_PORT", "-1")
    result = run("stream")
    assert result.exit_code == 2
    lines = result.output.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "PLACESTREAM_PARTITIONS",
        "PLACESTREAM_SERVE_PORT",
    ]
    assert "'none'" in lines[0]


def test_settings_are_listed_with_secrets_hidden(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every one, with its variable, value and meaning; what was set is marked."""
    monkeypatch.setenv("PLACESTREAM_SEED", "5")
    monkeypatch.setenv("PLACESTREAM_KAFKA_PASSWORD", "hunter2")
    monkeypatch.setenv("PLACESTREAM_REDIS_URL", "redis://ann:swordfish@cache:6379/0")
    table = run("settings").output
    listed = json.loads(run("settings", "--json").output)
    assert set(listed) == {f"PLACESTREAM_{name.upper()}" for name in Settings.model_fields}
    for output in (table, json.dumps(listed)):
        assert "hunter2" not in output
        assert "swordfish" not in output
        assert "cache:6379" in output
    assert listed["PLACESTREAM_SEED"] == {
        "value": 5,
        "is_default": False,
        "meaning": Settings.model_fields["seed"].description,
    }
    assert listed["PLACESTREAM_PARTITIONS"]["is_default"] is True
    (row,) = (line for line in table.splitlines() if line.startswith("PLACESTREAM_SEED "))
    assert row.split()[:3] == ["PLACESTREAM_SEED", "5", "set"]


def test_recommend_without_a_service_says_where_it_looked(run: Run) -> None:
    """Exit code 1, what to do next, no traceback."""
    address = f"127.0.0.1:{free_port()}"
    where = ["--lat", "1", "--lng", "2", "--address", address]
    result = run("recommend", "--user", "42", *where)
    assert result.exit_code == 1
    assert result.output.startswith(f"{address} answered UNAVAILABLE")
    assert "Start `placestream serve`" in result.output


def test_up_knows_its_roles(run: Run) -> None:
    """A typo starts nothing."""
    result = run("up", "--roles", "stream,cook")
    assert result.exit_code == 1
    assert "no such role: cook" in result.output


def test_up_starts_every_role() -> None:
    """The console too, as docs/console.md says."""
    roles = inspect.signature(try_it.up).parameters["roles"].default
    assert roles.split(",") == list(up.ROLES)


def test_retrain_now_sends_one_request(
    run: Run, monkeypatch: pytest.MonkeyPatch, settings: Settings, topics: Topics
) -> None:
    """Through a real Kafka, as the trainer will read it; the audit id is printed."""
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    result = run("retrain", "--now", "new neighbourhood")
    assert result.exit_code == 0
    consumer = Consumer(consumer_config(settings, "test"))
    consumer.subscribe([topics.retrain.name])
    message = consumer.consume(1, timeout=30)[0]
    consumer.close()
    request = msgspec.json.decode(message.value() or b"", type=RetrainRequested)
    assert request.audit_id == result.output.strip() == (message.key() or b"").decode()
    assert (request.reason, request.evidence) == ("manual", {"note": "new neighbourhood"})


def test_light_commands_load_nothing_heavy() -> None:
    """`settings` and `--help` answer at once: TensorFlow alone takes seconds."""
    code = (
        "import sys; from typer.testing import CliRunner; from placestream.cli import app;"
        "CliRunner().invoke(app, ['settings']); CliRunner().invoke(app, ['--help']);"
        "print(*sorted({'tensorflow', 'faust', 'grpc', 'river', 'pyarrow'} & set(sys.modules)))"
    )
    answer = _python(code)
    assert answer.strip() == ""


def _python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
