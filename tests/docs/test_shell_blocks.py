"""What the operator's pages print to be typed into a shell is run, or held to what it speaks of.

`test_commands.py` reads the `placestream` commands among it. Here are all others: every line of a
block must be of a program that something below knows how to check, and none is passed over.

Not run, and why:
- `docker compose ...`: the machines that test have no engine. Its subcommand must be a known one,
  its services those of `docker-compose.yml`, and what runs within a container is checked as here.
- `kafka-console-consumer.sh`: it lies in the broker's image. Its topics must be declared.
- `mlflow ...`, which deletes: its own command line must take it, and the store be that of
  `docker-compose.yml`. `tests/models/test_tracking_server.py` runs it.
- `pip install placestream[...]`: it would change the environment that tests. The extra must exist.
"""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import redis
from redis.exceptions import NoPermissionError

from contracts.settings import Settings
from contracts.topics import Topics
from tests.docker.project import services
from tests.docs.test_commands import fault
from tests.docs_pages import DOCS, ROOT, blocks

PAGES = [
    *(DOCS / name for name in ("operations.md", "security.md", "backfill.md")),
    *sorted((DOCS / "runbooks").glob("*.md")),
]
#: Subcommands of `docker compose`, and whether services follow.
COMPOSE = {"build": True, "up": True, "ps": True, "logs": True, "restart": True, "exec": False}
#: Of what a block of another kind begins with.
JSON, ACL = "{", "ACL "
VARIABLES = {f"PLACESTREAM_{name}".upper() for name in Settings.model_fields}


def fenced(page: Path) -> list[str]:
    """Texts of a page's blocks; those within a list are indented."""
    text = re.sub(r"^  (?=\S|  )", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [block.text for block in blocks(text) if block.language in ("", "sh", "bash")]


def printed() -> list[tuple[str, str]]:
    """Page and command of each line of a shell block."""
    found = []
    for page in PAGES:
        for text in fenced(page):
            if not text.startswith((JSON, ACL)):
                found += [(page.name, line.strip()) for line in whole_lines(text) if line.strip()]
    return sorted(set(found))


def whole_lines(text: str) -> list[str]:
    """The lines of a shell's text, those that go on joined."""
    return re.sub(r"\\\n\s*", " ", text).splitlines()


def wrong(line: str) -> str | None:
    """What is wrong with a command line, as far as can be told without running it."""
    words = shlex.split(re.split(r" [|<>] ", line)[0], comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        if (name := words.pop(0).partition("=")[0]) not in VARIABLES:
            return f"no such setting: {name}"
    if not words:
        return "nothing but settings"
    check = _CHECKS.get(words[0])
    return f"nobody checks {words[0]}" if check is None else check(words[1:])


def _export(words: list[str]) -> str | None:
    names = [word.partition("=")[0] for word in words]
    return next((f"no such setting: {name}" for name in names if name not in VARIABLES), None)


def _copy(words: list[str]) -> str | None:
    return None if (ROOT / words[0]).is_file() else f"there is no {words[0]}"


def _pip(words: list[str]) -> str | None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = re.fullmatch(r"placestream\[(\w+)\]", words[-1])
    if words[0] != "install" or extra is None:
        return "only an extra of ours is known"
    return None if extra[1] in project["optional-dependencies"] else f"no such extra: {extra[1]}"


def _docker(words: list[str]) -> str | None:
    if words[0] != "compose" or words[1] not in COMPOSE:
        return f"no such subcommand: {words[:2]}"
    options = {"-d", "-f", "-T", "--tail"}
    rest = words[2:]
    while rest and rest[0].startswith("-"):
        if rest[0] not in options:
            return f"unknown option: {rest[0]}"
        rest = rest[2:] if rest[0] == "--tail" else rest[1:]
    named = rest if COMPOSE[words[1]] else rest[:1]
    if unknown := [name for name in named if name not in services()]:
        return f"no such service: {unknown}"
    return wrong(shlex.join(rest[1:])) if words[1] == "exec" else None


def _consumer(words: list[str]) -> str | None:
    topic = words[words.index("--topic") + 1]
    return None if topic in {one.name for one in Topics().all()} else f"no such topic: {topic}"


def _mlflow(words: list[str]) -> str | None:
    from mlflow.cli import cli

    command = cli.commands.get(words[0])
    if command is None:
        return f"no such command of MLflow: {words[0]}"
    try:
        context = command.make_context(words[0], words[1:])
    except click.UsageError as error:
        return error.format_message()
    store = services()["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"]
    return None if context.params["backend_store_uri"] == store else f"the store is {store}"


_CHECKS: dict[str, Callable[[list[str]], str | None]] = {
    "placestream": lambda words: fault(shlex.join(words)),
    "docker": _docker,
    "/opt/kafka/bin/kafka-console-consumer.sh": _consumer,
    "export": _export,
    "cp": _copy,
    "pip": _pip,
    "mlflow": _mlflow,
    # Run below, all of its block at once.
    "openssl": lambda _: None,
}


@pytest.mark.parametrize(("page", "line"), printed())
def test_a_line_of_a_shell_block_is_right(page: str, line: str) -> None:
    """Programs, services, settings, topics and options exist."""
    assert wrong(line) is None, page


@pytest.mark.parametrize(
    "line",
    [
        "docker compose exec sever placestream audit a",
        "docker compose exec stream placestream dlq lost",
        "docker compose rebuild",
        "docker compose exec mlflow mlflow sweep",
        "docker compose exec mlflow mlflow gc --store sqlite:////mlflow/mlflow.db",
        "docker compose exec mlflow mlflow gc --backend-store-uri sqlite:////elsewhere.db",
        "docker compose exec kafka /opt/kafka/bin/kafka-console-consumer.sh --topic rollouts",
        "PLACESTREAM_SERVE_PROT=1 placestream serve",
        "export PLACESTREAM_SERVE_CLIENT_FILE=clients.json",
        "cp .env.sample .env",
        "pip install 'placestream[sparks]'",
        "kubectl get pods",
    ],
)
def test_a_wrong_line_is_found(line: str) -> None:
    """So that the test above can fail."""
    assert wrong(line) is not None


def test_blocks_are_found_at_all() -> None:
    """Of all pages that have some, those within lists too."""
    pages = {page for page, _ in printed()}
    assert {"operations.md", "security.md", "backfill.md", "FeatureDriftHigh.md"} <= pages
    assert sum(line.startswith("openssl") for _, line in printed()) == 3


def test_the_certificates_of_the_page_can_be_used(tmp_path: Path) -> None:
    """Its three commands, run as they stand; the service's certificate is of that CA and name."""
    (text,) = (text for text in fenced(DOCS / "security.md") if text.startswith("openssl"))
    commands = [line for line in whole_lines(text) if line.startswith("openssl")]
    assert len(commands) == 3
    check = "openssl verify -CAfile ca.crt -verify_hostname serve.example serve.crt"
    for command in (*commands, check):
        subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True, capture_output=True)


def test_the_redis_user_of_the_page_may_what_roles_do(
    settings: Settings, redis_client: redis.Redis
) -> None:
    """Its line, run as it stands: keys of ours and scripts; no other's keys, no deletion of all."""
    (text,) = (text for text in fenced(DOCS / "security.md") if text.startswith(ACL))
    admin: Any = redis_client
    admin.execute_command(*text.replace(" placestream ", " page ").split())
    try:
        url = settings.redis_url.get_secret_value()
        with redis.Redis.from_url(url, username="page", password="PASSWORD") as opened:
            limited: Any = opened
            limited.set("ps:page", "1")
            assert limited.eval("return redis.call('GET', KEYS[1])", 1, "ps:page") == b"1"
            assert limited.delete("ps:page", "{ps:page") == 1
            with redis.Redis.from_url(
                url, username="page", password="PASSWORD", protocol=3
            ) as listening:
                heard: Any = listening
                assert heard.execute_command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "ps:")
            for refused in (("GET", "other"), ("FLUSHALL",), ("CONFIG", "GET", "*")):
                with pytest.raises(NoPermissionError):
                    limited.execute_command(*refused)
    finally:
        admin.execute_command("ACL", "DELUSER", "page")


def test_what_is_no_shell_block_is_read_elsewhere() -> None:
    """The file of clients is JSON; nothing else passes as it."""
    others = [text for page in PAGES for text in fenced(page) if text.startswith(JSON)]
    assert len(others) == 1
    assert others[0].startswith('{"clients"')
