"""Kafka's jars: fetched once, whole or not at all."""

import multiprocessing
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from placestream.stack.kafka_jars import KafkaUnavailable, ensure_jars, find_java, jars_dir


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing in it but a shell's basics and what a test puts there."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/bin")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr("shutil.which", _which_in(directory))
    return directory


def _which_in(directory: Path) -> Callable[..., str | None]:
    def which(name: str, path: str | None = None) -> str | None:
        found = Path(path or directory) / name
        return str(found) if found.exists() else None

    return which


def script(file: Path, text: str) -> Path:
    """Write a program for the shell."""
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


#: Stands in for Maven: counts its runs, takes its time, and leaves one jar.
SLOW_MAVEN = 'echo run >> "$RUNS"; sleep 0.3; mkdir jars; echo jar > jars/kafka.jar'


def test_the_jars_are_fetched_once_and_kept(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call finds them, with no Maven needed."""
    runs = tmp_path / "runs"
    monkeypatch.setenv("RUNS", str(runs))
    maven = script(tools / "mvn", SLOW_MAVEN)
    first = ensure_jars(cache=tmp_path / "cache")
    maven.unlink()
    assert ensure_jars(cache=tmp_path / "cache") == first
    assert [jar.name for jar in first.iterdir()] == ["kafka.jar"]
    assert runs.read_text().split() == ["run"]


def test_concurrent_first_use_fetches_once(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several test runs on a fresh machine: one fetches, the others wait for the whole."""
    runs = tmp_path / "runs"
    monkeypatch.setenv("RUNS", str(runs))
    script(tools / "mvn", SLOW_MAVEN)
    fork = multiprocessing.get_context("fork")
    found = fork.SimpleQueue()

    def fetch() -> None:
        found.put(sorted(jar.name for jar in ensure_jars(cache=tmp_path / "cache").iterdir()))

    others = [fork.Process(target=fetch) for _ in range(4)]
    for process in others:
        process.start()
    for process in others:
        process.join()
    assert [found.get() for _ in others] == [["kafka.jar"]] * 4
    assert runs.read_text().split() == ["run"]


def test_a_failed_fetch_leaves_nothing_half_done(tools: Path, tmp_path: Path) -> None:
    """The reason is Maven's own, and the next call tries again."""
    script(tools / "mvn", "mkdir jars; echo half > jars/a.jar; echo 'no route to host'; exit 1")
    cache = tmp_path / "cache"
    with pytest.raises(KafkaUnavailable, match="no route to host"):
        ensure_jars(cache=cache)
    assert not jars_dir(cache=cache).exists()
    script(tools / "mvn", "mkdir jars; echo whole > jars/a.jar")
    assert (ensure_jars(cache=cache) / "a.jar").read_text() == "whole\n"


@pytest.mark.usefixtures("tools")
def test_without_maven_the_reason_is_said(tmp_path: Path) -> None:
    """What to install."""
    with pytest.raises(KafkaUnavailable, match="mvn"):
        ensure_jars(cache=tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_a_reason(tools: Path, tmp_path: Path) -> None:
    """Not a traceback."""
    script(tools / "mvn", "exit 0")
    (tmp_path / "file").touch()
    with pytest.raises(KafkaUnavailable, match="no cache"):
        ensure_jars(cache=tmp_path / "file" / "cache")


def test_another_pom_has_another_place(tmp_path: Path) -> None:
    """A new version of Kafka is fetched beside the old one."""
    pom = tmp_path / "pom.xml"
    pom.write_text("<project/>")
    assert jars_dir(pom, tmp_path) != jars_dir(cache=tmp_path)


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ('openjdk version "17.0.15" 2025-04-15', True),
        ('java version "25"', True),
        ('openjdk version "11.0.2" 2019-01-15', False),
        ('java version "1.8.0_392"', False),
        ("what?", False),
    ],
)
def test_java_must_be_new_enough(tools: Path, version: str, enough: bool) -> None:
    """Brokers of Kafka 4 run on Java 17 and newer."""
    java = script(tools / "java", f"echo '{version}' >&2")
    if enough:
        assert find_java() == str(java)
    else:
        with pytest.raises(KafkaUnavailable, match="Java 17 or newer"):
            find_java()


def test_java_home_comes_first(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But only if it is new enough."""
    (tmp_path / "home" / "bin").mkdir(parents=True)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    in_path = script(tools / "java", "echo 'version \"21\"' >&2")
    at_home = script(tmp_path / "home" / "bin" / "java", "echo 'version \"17\"' >&2")
    assert find_java() == str(at_home)
    script(at_home, "echo 'version \"8\"' >&2")
    assert find_java() == str(in_path)


@pytest.mark.usefixtures("tools")
def test_no_java_at_all() -> None:
    """Also a clear reason."""
    with pytest.raises(KafkaUnavailable, match="none is installed"):
        find_java()
