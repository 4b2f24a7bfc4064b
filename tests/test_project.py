"""The project's own files: dependencies that are pinned, hooks that need no network."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINNED = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+")


def pins() -> list[str]:
    """Return the lines of constraints.txt that are not comments."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_constraints_are_exact_versions_and_nothing_else() -> None:
    """No address to download from, no editable install, nothing of one machine."""
    assert [line for line in pins() if not PINNED.fullmatch(line)] == []


def test_every_dependency_has_a_pin() -> None:
    """A new dependency goes into constraints.txt too (`make constraints`)."""
    extras = PROJECT["optional-dependencies"].values()
    wanted = [*PROJECT["dependencies"], *(name for extra in extras for name in extra)]
    pinned = {canonicalize_name(line.partition("==")[0]) for line in pins()}
    names = {canonicalize_name(Requirement(requirement).name) for requirement in wanted}
    assert names <= pinned


def test_hooks_run_what_make_lint_runs() -> None:
    """With the tools of .venv, so that a commit and CI agree."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = {hook["entry"].split()[0] for repo in config["repos"] for hook in repo["hooks"]}
    assert hooks == {".venv/bin/ruff", ".venv/bin/mypy"}


@pytest.mark.parametrize("script", [".ci/setup.sh", ".ci/run"])
def test_scripts_can_be_run_and_stop_at_the_first_error(script: str) -> None:
    """A failed step must not look like success."""
    file = ROOT / script
    assert file.stat().st_mode & 0o111
    assert "set -euo pipefail" in file.read_text()
