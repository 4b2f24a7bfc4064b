"""What a benchmark prints when it is run as a reader runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def printed_by(module: str, arguments: str, longest_s: float = 580) -> dict[str, Any]:
    """Run `python -m MODULE ARGUMENTS` and read the last line that it prints as JSON.

    Args:
        module, arguments: of the command.
        longest_s: it may take so long, a little less than the time-out of the test.

    Raises:
        subprocess.CalledProcessError: it failed.
        subprocess.TimeoutExpired: it did not end in time.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments.split()],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=longest_s,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said
