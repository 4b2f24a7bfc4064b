"""Print what `pyproject.toml` needs to build and to run, one requirement a line.

The image installs these before the source is copied, so that a change of code does not install
TensorFlow again. The build requirements are among them because the package itself is then built
without isolation: with isolation pip would fetch a setuptools that no constraint pins.
"""

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path) -> list[str]:
    """Build and run-time requirements, as written in the file.

    Raises:
        KeyError: the file lists none.
    """
    table = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    return [*table["build-system"]["requires"], *table["project"]["dependencies"]]


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(Path(sys.argv[1]))) + "\n")
