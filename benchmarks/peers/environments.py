"""A virtual environment for each peer, outside the repository, with pinned versions.

What a peer needs must not change what placestream runs with. An environment is made when it is
first asked for and kept; other pins, or another Python, make another one.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"
#: Downloads of several hundred megabytes are among them.
INSTALL_TIMEOUT_S = 1_200
#: Lies in an environment that holds everything.
COMPLETE = "complete"


@dataclass(frozen=True)
class Peer:
    """What we stand beside.

    Attributes:
        name: as people write it.
        package: its name in the registry.
        requirements: file of it and of all that it needs, each with its version.
    """

    name: str
    package: str
    requirements: Path


@dataclass(frozen=True)
class Ready:
    """An environment that holds a peer."""

    python: Path
    version: str


@dataclass(frozen=True)
class Missing:
    """A peer that cannot be installed here."""

    why: str


def peer(name: str, package: str) -> Peer:
    """A peer whose pins lie beside this file."""
    return Peer(name, package, REQUIREMENTS / f"{package}.txt")


QUIX = peer("Quix Streams", "quixstreams")
BYTEWAX = peer("Bytewax", "bytewax")
FEAST = peer("Feast", "feast")


def environment_of(wanted: Peer, folder: Path) -> Ready | Missing:
    """The environment of a peer, made if it is not there.

    Args:
        wanted: the peer.
        folder: of all environments.
    """
    pins = wanted.requirements.read_bytes()
    digest = hashlib.sha256(pins + sys.version.encode()).hexdigest()[:8]
    home = folder / f"{wanted.package}-{digest}"
    python = home / "bin" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    # Who asks second waits for whoever is making it.
    with (folder / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / COMPLETE).exists():
            if why := _made(home, wanted.requirements):
                shutil.rmtree(home, ignore_errors=True)
                return Missing(why)
            (home / COMPLETE).touch()
    return Ready(python, _version(python, wanted.package))


def _made(home: Path, requirements: Path) -> str | None:
    """Make an environment; why it cannot be made, if so."""
    shutil.rmtree(home, ignore_errors=True)
    # Without a pip of its own: ours installs there, and is not installed anew for each.
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    # Whole or not at all: `--no-deps` keeps to the pins, `check` says whether one is lacking.
    install = [*pip, "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
    return _fault([*install, "--requirement", str(requirements)]) or _fault([*pip, "check"])


def _fault(command: Sequence[str]) -> str | None:
    """Run a command; what it complained of last, if it failed."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not installed within {INSTALL_TIMEOUT_S} s"
    if done.returncode == 0:
        return None
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.returncode}"


def _version(python: Path, package: str) -> str:
    asks = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    return subprocess.check_output([python, "-c", asks, package], text=True).strip()
