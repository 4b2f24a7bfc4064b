"""placestream's own reader of place features, as the service uses it: states, then the matrix."""

import asyncio
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from benchmarks.peers.turns import Task, take_turns
from contracts.settings import Settings
from online_features.definitions import PLACE
from online_features.reader import OnlineReader
from online_features.redis_client import client_of


def main() -> None:
    """Take turns; leave the first matrix."""
    task = Task.given()
    url = SecretStr(f"redis://{task.redis_host}:{task.redis_port}/0")
    settings = Settings(_env_file=None, redis_url=url)
    with np.load(Path(task.folder) / "rows.npz") as rows:
        ids = [str(place) for place in rows["ids"]]
    # One loop for all, as in the service; the client belongs to it.
    with asyncio.Runner() as runner:
        reader = OnlineReader(client_of(settings), settings)

        async def read() -> NDArray[np.float32]:
            states, _ = await reader.places(ids)
            return PLACE.read(states, task.at_s)

        async def timed(times: int) -> list[float]:
            taken = []
            for _ in range(times):
                began_s = time.perf_counter()
                await read()
                taken.append(1_000 * (time.perf_counter() - began_s))
            return taken

        np.save(Path(task.folder) / f"{task.name}.npy", runner.run(read()))
        take_turns(lambda _way, times: runner.run(timed(times)))


if __name__ == "__main__":
    main()
