"""The steps that make the images' environments, run natively in fresh ones."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docker.project import (
    MLFLOW_DOCKERFILE,
    ROOT,
    instructions,
    ours,
    without_secrets,
    words,
)

VENV, SOURCE = "/opt/placestream", "/src"
ROLE_MODULES = (
    "streams.worker",
    "inference.server",
    "retrain.daemon",
    "models.train",
    "placestream.simulation.command",
)


def copy_context(target: Path) -> None:
    """What .dockerignore lets into the build."""
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in (rule[1:] for rule in rules if rule.startswith("!")):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)


def native(step: str, venv: Path, source: Path, built_at: str = VENV) -> str:
    """A RUN line for this machine: without BuildKit's mounts, on paths of the test."""
    bare = re.sub(r"--mount=\S+\s*", "", step)
    return bare.replace(built_at, str(venv)).replace(SOURCE, str(source))


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_build_stage_makes_a_command_that_runs(tmp_path: Path) -> None:
    """Each RUN line of the stage succeeds, and the entry point knows every role of Compose.

    The steps install from wheels alone under the constraints, so this also shows that the pins fit
    together and that no compiler is needed.
    """
    source, venv = tmp_path / "src", tmp_path / "venv"
    source.mkdir()
    copy_context(source)
    env = without_secrets() | {"PATH": f"{venv}/bin:{os.environ['PATH']}"}
    env.pop("PYTHONPATH", None)
    for word, step in instructions("build"):
        if word == "RUN":
            command = ["sh", "-euc", native(step, venv, source)]
            subprocess.run(command, cwd=source, env=env, check=True)
        elif word == "ENV" and not step.startswith("PATH="):
            env |= dict(part.split("=", 1) for part in step.split())

    # The stage that follows copies the environment and nothing else: the source must not be needed.
    shutil.rmtree(source)
    entry = json.loads(dict(instructions())["ENTRYPOINT"])
    home = tmp_path / "home"
    home.mkdir()
    env |= {"HOME": str(home)}

    def output(*command: str) -> str:
        return subprocess.run(
            command, cwd=home, env=env, check=True, capture_output=True, text=True
        ).stdout

    def run(*arguments: str) -> str:
        return output(*entry, *arguments)

    assert "recommender of places" in run("--help")
    for service in ours().values():
        if "entrypoint" not in service:
            role, *_ = words(service["command"])
            assert f"placestream {role}" in run(role, "--help")
    listed = json.loads(run("settings", "--json"))
    assert "PLACESTREAM_KAFKA_BOOTSTRAP" in listed
    # What the roles import when they start; -P: not from the current directory.
    output("python", "-P", "-c", "; ".join(f"import {module}" for module in ROLE_MODULES))
    # What was installed is what is pinned, nothing more and nothing newer.
    installed = {line for line in output("pip", "freeze").splitlines() if "placestream" not in line}
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert installed <= set(pinned)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_mlflows_environment_is_the_pinned_one(tmp_path: Path) -> None:
    """The step that installs succeeds from wheels alone, and the entry point is there."""
    venv = tmp_path / "mlflow"
    venv.mkdir()
    inside = instructions(of=MLFLOW_DOCKERFILE)
    (copied,) = [rest.split() for word, rest in inside if word == "COPY"]
    for file in copied[:-1]:
        shutil.copy(ROOT / file, venv)
    _, install = [step for word, step in inside if word == "RUN"]
    env = without_secrets() | {"HOME": str(tmp_path)}
    env.pop("PYTHONPATH", None)
    command = ["sh", "-euc", native(install, venv, tmp_path, "/opt/mlflow")]
    subprocess.run(command, cwd=tmp_path, env=env, check=True)
    (entry,) = json.loads(dict(inside)["ENTRYPOINT"])

    def output(*command: str) -> str:
        return subprocess.run(
            command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True
        ).stdout

    assert "--artifacts-destination" in output(f"{venv}/bin/{entry}", "server", "--help")
    frozen = output(f"{venv}/bin/pip", "freeze").splitlines()
    pinned = (ROOT / "docker/mlflow/constraints.txt").read_text(encoding="utf-8").splitlines()
    assert set(frozen) == {line for line in pinned if not line.startswith("#")}
