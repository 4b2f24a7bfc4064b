"""Apache Kafka's jars, fetched once through Maven and kept between runs.

`python -m placestream.stack.kafka_jars` fetches them ahead of the first start.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from placestream.stack.child import Child, StartError

POM = Path(__file__).with_name("kafka-pom.xml")
#: Brokers of Kafka 4 need it.
LEAST_JAVA = 17
FETCH_TIMEOUT_S = 600


class KafkaUnavailable(RuntimeError):
    """Real Kafka cannot run here; the message says what is missing."""


def cache_dir() -> Path:
    """Where placestream keeps what it fetched: `PLACESTREAM_CACHE`, else the user's cache."""
    if own := os.environ.get("PLACESTREAM_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "placestream"


def find_java() -> str:
    """Return the path of a Java that is new enough.

    Raises:
        KafkaUnavailable: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    at_home = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    candidates = [path for path in (at_home, shutil.which("java")) if path]
    versions = {path: _java_version(path) for path in candidates}
    for path, version in versions.items():
        if version >= LEAST_JAVA:
            return path
    found = ", ".join(f"{path} is Java {version}" for path, version in versions.items())
    raise KafkaUnavailable(f"Java {LEAST_JAVA} or newer is needed ({found or 'none is installed'})")


def _java_version(java: str) -> int:
    try:
        answer = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(\d+)', answer.stderr)
    return int(match.group(1)) if match else 0


def jars_dir(pom: Path = POM, cache: Path | None = None) -> Path:
    """Where the jars of this pom lie once they are fetched; another pom has another place."""
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    return (cache or cache_dir()) / f"kafka-{digest}"


def ensure_jars(pom: Path = POM, cache: Path | None = None) -> Path:
    """Return the directory of the jars, fetched if need be.

    Safe under concurrent first use: one process fetches, the others wait for it, and the
    directory appears whole or not at all.

    Raises:
        KafkaUnavailable: there is no Maven, or it could not get them.
    """
    target = jars_dir(pom, cache)
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KafkaUnavailable(f"no cache for Kafka's jars: {error}") from error
    with _locked(target.with_suffix(".lock")):
        if not target.is_dir():
            _fetch(pom, target)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(pom: Path, target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable("Kafka's jars are not in the cache, and there is no Maven (`mvn`)")
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    # Maven writes beside the pom, which may lie in a directory that is read-only.
    shutil.copyfile(pom, partial / "pom.xml")
    log_file = target.with_suffix(".log")
    log_file.unlink(missing_ok=True)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=jars"]
    child = Child.spawn("mvn", [maven, "-B", "-ntp", *goal], log_file, cwd=partial)
    try:
        child.wait_done(FETCH_TIMEOUT_S)
    except StartError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise KafkaUnavailable(f"Maven could not get Kafka's jars: {error}") from error
    (partial / "jars").rename(target)
    shutil.rmtree(partial)


def main() -> int:
    """Fetch the jars and say where they are."""
    try:
        sys.stdout.write(f"Java: {find_java()}\nKafka: {ensure_jars()}\n")
    except KafkaUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
