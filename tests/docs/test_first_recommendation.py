"""The README's five minutes, as they are printed: the stack, three cafés, an answer."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.examples import first_events
from placestream.stack.child import Child
from tests.docs_pages import ROOT, blocks

README = (ROOT / "README.md").read_text(encoding="utf-8")
START_S, ANSWER_S = 240.0, 60.0


def printed(heading: str) -> list[str]:
    """Commands of a section of the README, this Python's in the place of .venv's."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for block in blocks(section) for line in block.text.splitlines()]
    return [line.replace(".venv/bin", str(Path(sys.executable).parent)) for line in lines]


FIRST = printed("Your own events and your first recommendation, in five minutes")


@pytest.fixture
def env_file(tmp_path: Path) -> Iterator[Path]:
    """What `placestream up` leaves for another shell, once it has printed where everything is."""
    up, *_ = FIRST
    run_dir = tmp_path / "up"
    command = ["bash", "-c", f"exec {up} --dir {run_dir}"]
    wide = os.environ | {"COLUMNS": "300"}
    stack = Child.spawn("up", command, tmp_path / "up.log", cwd=ROOT, env=wide)
    try:
        stack.wait_ready(lambda: "settings for a shell" in stack.tail(), START_S)
        yield run_dir / "env"
    finally:
        assert stack.stop(grace_s=60) == 128 + 15


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_cafes_and_an_answer(env_file: Path) -> None:
    """Every place of the example is in Ann's answer, which knows of her visit."""
    _, load, send, ask = FIRST
    load = load.replace("var/up/env", str(env_file))
    shell(load, send)
    deadline = time.monotonic() + ANSWER_S
    told = ""
    while "user         known" not in told or "3  " not in told:
        assert time.monotonic() < deadline, told
        told = shell(load, ask, check=False)
    for name, *_ in first_events.PLACES.values():
        assert name in told
    assert "popularity" in told


def test_the_example_is_what_the_readme_says() -> None:
    """Four commands; the file has about as many lines as the page says, and knows Ann."""
    assert len(FIRST) == 4
    assert "forty lines" in README
    text = (ROOT / "docs/examples/first_events.py").read_text(encoding="utf-8")
    assert 30 <= len(text.splitlines()) <= 60
    assert {user for user, *_ in first_events.HAPPENED} == {"ann", "bob"}


def shell(*lines: str, check: bool = True) -> str:
    """Run lines in one shell, as a reader does."""
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "120", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout + done.stderr
