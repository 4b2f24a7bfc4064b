"""Which code made a model: the package's version, and a hash of the sources that shape a model."""

import hashlib
from functools import lru_cache
from importlib.metadata import version as version_of
from pathlib import Path

#: Rooms whose code a training runs through.
ROOMS = ("contracts", "online_features", "models")


def code_version() -> str:
    """E.g. "0.1.0+5f2b9c0a11de"; works in an image, where there is no git."""
    return f"{version_of('placestream')}+{source_hash(Path(__file__).parents[1])[:12]}"


@lru_cache
def source_hash(root: Path) -> str:
    """SHA-256 over names and bytes of the rooms' Python files, hex."""
    identity = hashlib.sha256()
    for room in ROOMS:
        for file in sorted((root / room).rglob("*.py")):
            identity.update(file.relative_to(root).as_posix().encode() + b"\0")
            identity.update(hashlib.sha256(file.read_bytes()).digest())
    return identity.hexdigest()
