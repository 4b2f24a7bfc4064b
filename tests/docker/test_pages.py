"""The operator's pages: what they name exists, and what exists is in their tables."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from contracts.settings import Settings
from placestream.dashboards.boards import BOARDS
from tests.docker import series
from tests.docker.project import COMPOSE, ROOT, env_file, services
from tests.docker.series import alerts

OPERATIONS = ROOT / "docs" / "operations.md"
PAGES = [
    OPERATIONS,
    ROOT / "docs" / "metrics.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("producers", "kubernetes", "faq")),
    *sorted((ROOT / "docs" / "runbooks").glob("*.md")),
]
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def table(text: str, heading: str) -> list[list[str]]:
    """Cells of the table whose first heading is given, without its head."""
    after = text.split(f"| {heading} |", 1)[1].splitlines()[2:]
    rows = itertools.takewhile(bool, after)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def commands() -> set[str]:
    """Subcommands of `placestream`."""
    from placestream.cli import app

    command: Any = typer.main.get_command(app)
    return set(command.commands)


@by_page
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link is a file."""
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@by_page
def test_paths_exist(page: Path) -> None:
    """Every path of the repository that is named is there (or is made by the reader)."""
    named = re.findall(r"`((?:docker|contracts|docs|tests)/[\w./*-]+)`", page.read_text())
    for path in set(named) - {"docker/settings.local.env"}:
        assert list(ROOT.glob(path.rstrip("/"))), path


@by_page
def test_settings_exist(page: Path) -> None:
    """Every variable that is named is a setting, or one of those that the compose file reads."""
    known = {f"PLACESTREAM_{name.upper()}" for name in Settings.model_fields}
    known |= {"PLACESTREAM_KAFKA_"}  # `PLACESTREAM_KAFKA_*`, all of them
    assert set(re.findall(r"PLACESTREAM_[A-Z_]+", page.read_text())) <= known


@by_page
def test_commands_exist(page: Path) -> None:
    """Every subcommand that is shown is one."""
    shown = set(re.findall(r"`?(?<!\S)`?placestream ([a-z][a-z-]+)", page.read_text()))
    assert shown <= commands()


def named_services(command: str) -> list[str]:
    """Services that a `docker compose` command line names."""
    words = command.split()
    while words[0].startswith("-"):
        words = words[2:]  # of the options before the verb, those used all have a value
    verb, *rest = words
    names = []
    while rest:
        word = rest.pop(0)
        if word in ("--tail", "--scale"):
            rest.pop(0)
        elif not word.startswith("-"):
            names.append(word)
            if verb in ("exec", "run"):
                break
    return [] if verb == "build" else names


@by_page
def test_compose_commands_name_services(page: Path) -> None:
    """Every service in a `docker compose` line is one, and no command is cut by a line's end."""
    text = page.read_text(encoding="utf-8")
    outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    assert not re.findall(r"`docker compose[^`\n]*\n", outside)
    for line in re.findall(r"docker compose ((?:-|[a-z])[^`\n|#]*)", text):
        assert set(named_services(line)) <= set(services()), line


def test_compose_commands_are_read() -> None:
    """The reading that the test above leans on finds the services of each kind of command."""
    assert named_services("exec retrain placestream retrain --now x") == ["retrain"]
    assert named_services("--profile simulate up -d") == []
    assert named_services("up -d --scale stream=2 stream serve") == ["stream", "serve"]
    assert named_services("logs -f --tail 10 redis") == ["redis"]


@by_page
def test_series_exist(page: Path) -> None:
    """Every metric that is named is one, or the beginning of several (`..._*`). What rules record
    (`a:placestream_b:c`) is another test's."""
    text = page.read_text()
    known = {*series.series(), *series.metrics()}
    for name, star in re.findall(r"(?<!:)\b(placestream_[a-z_]+)(\*?)", text):
        assert name in known or (star and any(k.startswith(name) for k in known)), name


@by_page
def test_topics_exist(page: Path) -> None:
    """Every topic that is named is one of the default installation."""
    topics = {topic.name for topic in Settings.model_construct().topics.all()}
    assert set(re.findall(r"--topic (\S+)", page.read_text())) <= topics


@by_page
def test_panels_exist(page: Path) -> None:
    """Where a page says what to look at on which dashboard, there is such a panel on it."""
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert not re.findall(r'on the dashboard(?! "|s)', text)
    panels = {board.title.split(" / ")[1]: {p.title for p in board.panels} for board in BOARDS}
    said = r'((?:"[^"]+"(?:, | and )?)+) on (?:the dashboard )?"([^"]+)"'
    for named, board in re.findall(said, text):
        assert set(re.findall(r'"([^"]+)"', named)) <= panels[board], (named, board)


def test_every_alert_is_in_the_table() -> None:
    """Name and severity of each alert are as in the rules."""
    rows = table((ROOT / "docs/runbooks/README.md").read_text(encoding="utf-8"), "alert")
    shown = {re.sub(r"\[(\w+)\]\(\1\.md\)", r"\1", row[0]): row[1] for row in rows}
    assert shown == {name: alert["labels"]["severity"] for name, alert in alerts().items()}


def test_every_alert_is_watched_for_something() -> None:
    """The table of what is watched names every alert, once."""
    rows = table(OPERATIONS.read_text(encoding="utf-8"), "what is watched")
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row[1])]
    assert sorted(named) == sorted(alerts())


def test_every_dashboard_is_in_the_table() -> None:
    """Titles as Grafana lists them, without their common beginning."""
    rows = table(OPERATIONS.read_text(encoding="utf-8"), "dashboard")
    assert [row[0] for row in rows] == [board.title.split(" / ")[1] for board in BOARDS]


def test_ports_are_the_defaults() -> None:
    """The table of roles shows the ports that the settings have."""
    rows = table(OPERATIONS.read_text(encoding="utf-8"), "role")
    shown = {row[0].strip("`").split()[-1]: set(re.findall(r"\d{4}", row[3])) for row in rows}
    defaults = {name: str(field.default) for name, field in Settings.model_fields.items()}
    assert shown == {
        "stream": {defaults["stream_metrics_port"]},
        "serve": {defaults["serve_port"], defaults["serve_metrics_port"]},
        "retrain": {defaults["retrain_metrics_port"]},
        "Serving": {
            defaults["model_server"].rpartition(":")[2],
            defaults["model_server_rest_port"],
        },
    }


def test_addresses_are_the_published_ones() -> None:
    """The table of addresses is the list of published ports."""
    rows = table(OPERATIONS.read_text(encoding="utf-8"), "address")
    published = {
        port.rpartition(":")[2] for name in services() for port in services()[name].get("ports", [])
    }
    assert {row[0].rpartition(":")[2] for row in rows} == published


def test_limits_add_up() -> None:
    """The memory that the page speaks of is the sum of the limits, simulation left out."""
    units = {"m": 1, "g": 1_024}
    total_mb = 0
    for service in services().values():
        limit = service["deploy"]["resources"]["limits"]["memory"]
        if "profiles" not in service:
            total_mb += int(limit[:-1]) * units[limit[-1]]
    (shown,) = re.findall(r"add up to (\d+) GB", OPERATIONS.read_text(encoding="utf-8"))
    assert round(total_mb / 1_024) == int(shown)


def test_variables_of_compose_are_explained() -> None:
    """Each variable that has a default is named on the page or explained in .env.example."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name in env_file(ROOT / ".env.example"):
        before = text.split(f"\n{name}=")[0].splitlines()[-1]
        assert before.startswith("#"), name
    assert str(COMPOSE.name) in OPERATIONS.read_text(encoding="utf-8")
