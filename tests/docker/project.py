"""What the tests of the containers read: the files of the repository, parsed."""

import itertools
import os
import re
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "docker" / "Dockerfile"
MLFLOW_DOCKERFILE = ROOT / "docker" / "mlflow" / "Dockerfile"

Service = dict[str, Any]


@cache
def compose() -> dict[str, Any]:
    """docker-compose.yml, anchors resolved, variables not."""
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return loaded


def services() -> dict[str, Service]:
    """Services by name."""
    found: dict[str, Service] = compose()["services"]
    return found


def ours() -> dict[str, Service]:
    """Services that run the image of the roles."""
    return {name: s for name, s in services().items() if s["image"].startswith("placestream:")}


def built() -> dict[str, Path]:
    """Dockerfiles of the images that are built here, by the services that run them."""
    return {n: ROOT / s["build"]["dockerfile"] for n, s in services().items() if "build" in s}


def env_file(path: Path) -> dict[str, str]:
    """Variables of an env file; a line that is neither comment nor NAME=value is an error."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, f"{path.name}: {line!r} is not NAME=value"
            found[name] = value
    return found


_VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?:(:[-?])([^}]*))?\}")


def variables(text: str) -> set[str]:
    """Names of the variables that Compose would fill in."""
    return {match[1] for match in _VARIABLE.finditer(text) if match[1]}


def interpolated(text: str, values: Mapping[str, str]) -> str:
    """Fill in `${NAME}`, `${NAME:-default}` and `${NAME:?message}` as Compose does.

    Raises:
        KeyError: a variable without a value or a default.
    """

    def fill(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if name is None:
            return "$"
        if values.get(name):
            return values[name]
        if kind == ":-":
            return str(rest)
        raise KeyError(name)

    return _VARIABLE.sub(fill, text)


def environment(name: str, values: Mapping[str, str]) -> dict[str, str]:
    """Environment of a service as its container gets it."""
    service = services()[name]
    found: dict[str, str] = {}
    for entry in service.get("env_file", []):
        path = ROOT / (entry if isinstance(entry, str) else entry["path"])
        if path.exists():
            found |= env_file(path)
    own = service.get("environment", {})
    return found | {key: interpolated(str(value), values) for key, value in own.items()}


def instructions(stage: str | None = None, of: Path = DOCKERFILE) -> list[tuple[str, str]]:
    """Instructions of a Dockerfile, one line each; of a named stage, or of the last."""
    text = re.sub(r"^\s*#.*\n", "", of.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line]
    parsed = [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]
    starts = [i for i, (word, _) in enumerate(parsed) if word == "FROM"] + [len(parsed)]
    stages = [parsed[a:b] for a, b in itertools.pairwise(starts)]
    if stage is None:
        return stages[-1]
    return next(s for s in stages if s[0][1].endswith(f" AS {stage}"))


def without_secrets() -> dict[str, str]:
    """The environment of this process without settings of ours, for child processes."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PLACESTREAM_")}


def words(command: str | list[str]) -> list[str]:
    """A command as a list of words."""
    return shlex.split(command) if isinstance(command, str) else command
