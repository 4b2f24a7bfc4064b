"""The Dockerfiles: linted, and agreeing with the repository they are built from."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.docker.project import (
    DOCKERFILE,
    MLFLOW_DOCKERFILE,
    ROOT,
    built,
    instructions,
    services,
)

IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    """Lint a Dockerfile."""
    command = [str(Path(sys.executable).with_name("hadolint")), "--no-color", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_dockerfile_is_looked_at() -> None:
    """What Compose builds from is what these tests read."""
    assert set(built().values()) == {DOCKERFILE, MLFLOW_DOCKERFILE}


@pytest.mark.parametrize("path", [DOCKERFILE, MLFLOW_DOCKERFILE], ids=lambda path: path.parent.name)
def test_the_linter_finds_nothing(path: Path) -> None:
    """hadolint, which runs shellcheck over the RUN lines, has nothing to say."""
    answer = hadolint(path)
    assert (answer.stdout, answer.stderr, answer.returncode) == ("", "", 0)


def test_the_linter_is_awake(tmp_path: Path) -> None:
    """It does complain about what is wrong, so that the test above can fail."""
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python:latest\nRUN cd /x && apt-get install curl\n")
    answer = hadolint(bad)
    assert answer.returncode != 0
    assert "DL3007" in answer.stdout


def test_all_stages_have_one_pinned_base() -> None:
    """The environment is built for the very Python that runs it; MLflow's is the same."""
    bases = {instructions(stage)[0][1].split(" AS ")[0] for stage in ("build", None)}
    bases.add(instructions(of=MLFLOW_DOCKERFILE)[0][1])
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases.pop())


def test_it_runs_as_a_user_with_a_number() -> None:
    """The last USER is not root, and is the one that owns the volumes of the model server."""
    users = [rest for word, rest in instructions() if word == "USER"]
    assert users == [services()["tf-serving"]["user"]]
    (run,) = [rest for word, rest in instructions() if word == "RUN"]
    uid = users[0].split(":")[0]
    assert f"useradd --uid {uid}" in run
    owned = re.search(rf"install -d -o {uid} -g {uid} (.*)", run)
    assert owned is not None
    assert set(owned[1].split()) == {"/archive", "/models"}


def test_mlflow_runs_as_another_user_with_a_number() -> None:
    """Not as the roles, whose models are none of its; the folder of its volume is its own."""
    inside = instructions(of=MLFLOW_DOCKERFILE)
    (user,) = [rest for word, rest in inside if word == "USER"]
    uid = user.split(":")[0]
    assert int(uid) > 0
    assert user not in [rest for word, rest in instructions() if word == "USER"]
    run = next(rest for word, rest in inside if word == "RUN")
    assert f"useradd --uid {uid}" in run
    assert re.search(rf"install -d -o {uid} -g {uid} -m 0700 /mlflow$", run)


def test_one_entry_point_for_every_role() -> None:
    """The image is the command; a role is its argument."""
    found = dict(instructions())
    assert json.loads(found["ENTRYPOINT"]) == ["placestream"]
    assert json.loads(found["CMD"]) == ["--help"]


@pytest.mark.parametrize("name", built())
def test_probes_and_scripts_are_in_the_image(name: str) -> None:
    """What a container calls by path was copied to that path."""
    service = services()[name]
    copies = [rest.split() for word, rest in instructions(of=built()[name]) if word == "COPY"]
    inside = {f"{to}{Path(f).name}" for *files, to in copies for f in files if to.endswith("/")}
    called = [*service.get("entrypoint", []), *service.get("healthcheck", {}).get("test", [])]
    assert {word for word in called if word.startswith("/opt/")} <= inside


def test_copied_files_exist_and_are_let_in() -> None:
    """Each source of a COPY is in the repository, and .dockerignore does not hold it back."""
    mlflow = instructions(of=MLFLOW_DOCKERFILE)
    for stage in (instructions("build"), instructions(), mlflow):
        for word, rest in stage:
            if word == "COPY" and not rest.startswith("--from"):
                for source in rest.split()[:-1]:
                    assert (ROOT / source).exists(), source
                    assert source == "." or f"!{Path(source).parts[0]}" in IGNORED


def test_the_context_is_what_the_package_is_made_of() -> None:
    """.dockerignore refuses everything, then lets in the packages and what the build reads."""
    rules = [line for line in IGNORED if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    expected = {name.rstrip("*") for name in packages}
    expected |= {"pyproject.toml", "constraints.txt", "docker", project["project"]["readme"]}
    assert let_in == expected
    assert {rule for rule in rules[1:] if not rule.startswith("!")} == {
        "**/__pycache__",
        "docker/settings.local.env",
    }
