"""Processes beside this one, in a peer's environment or in ours."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cores import pinned

ROOT = Path(__file__).parents[2]
TAIL_LINES = 20


class ChildFailed(RuntimeError):
    """A process ended before its time; holds the end of what it complained of."""


@contextmanager
def child(
    python: Path, module: str, argument: str, core: set[int], log_file: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """A module of ours run by some Python on a core of its own, killed at the end.

    Args:
        python: of its environment.
        module: below the repository's root.
        argument: the only one.
        core: where it runs.
        log_file: what it writes to stderr.

    Raises:
        ChildFailed: while it ran something was wrong, and it has ended with a fault.
    """
    with (
        log_file.open("wb") as log,
        subprocess.Popen(
            [python, "-m", module, argument],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            preexec_fn=pinned(core),
        ) as process,
    ):
        try:
            yield process
        except (RuntimeError, OSError, ValueError) as error:
            process.kill()
            said = log_file.read_text(errors="replace").splitlines()[-TAIL_LINES:]
            raise ChildFailed("\n".join([f"{module}: {error}", *said])) from error
        finally:
            process.kill()
