"""A process that reads whenever it is told to, and says how long each read took.

Two such processes take turns, so that both meet the machine's moods. Needs the standard library
alone: one of them runs in a peer's environment.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True)
class Task:
    """What a reader is given, as JSON in its only argument.

    Attributes:
        redis_host, redis_port: where the features are.
        folder: holds `rows.npz` (`ids`, `columns` and `values` float32[ids, columns]); there the
            reader leaves what it read, as `read.npy` in a folder of its name.
        at_s: the moment as of which is read, Unix seconds.
        name: of the reader.
    """

    redis_host: str
    redis_port: int
    folder: str
    at_s: float
    name: str

    @classmethod
    def given(cls) -> Self:
        """The task of this process."""
        return cls(**json.loads(sys.argv[1]))

    def as_argument(self) -> str:
        """What `given` reads."""
        return json.dumps(asdict(self))


def timed_ms(read: Callable[[], object], times: int) -> list[float]:
    """Milliseconds of each of so many reads."""
    taken = []
    for _ in range(times):
        began_s = time.perf_counter()
        read()
        taken.append(1_000 * (time.perf_counter() - began_s))
    return taken


def take_turns(take: Callable[[str, int], list[float]]) -> None:
    """Answer each line of standard input, "way reads", by a line of JSON; to its end.

    Args:
        take: reads so many times in one way, and returns the milliseconds of each.
    """
    print("[]", flush=True)  # ready
    for line in sys.stdin:
        way, times = line.split()
        print(json.dumps(take(way, int(times))), flush=True)


def ask(child: "subprocess.Popen[bytes]", way: str, times: int) -> list[float]:
    """The other side: have a reader take a turn.

    Raises:
        RuntimeError: it has ended.
    """
    assert child.stdin is not None
    child.stdin.write(f"{way} {times}\n".encode())
    child.stdin.flush()
    return answer(child)


def answer(child: "subprocess.Popen[bytes]") -> list[float]:
    """The next answer of a reader; the first, which is empty, says that it is ready.

    Raises:
        RuntimeError: it has ended.
    """
    for line in child.stdout or ():
        if line.startswith(b"["):
            taken: list[float] = json.loads(line)
            return taken
    raise RuntimeError("it ended early")
