"""A whole installation on this machine, with a city's history in it and both models trained."""

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.surroundings import Surroundings
from placestream.following import Following
from placestream.simulation.city import City
from placestream.simulation.command import stream_history
from placestream.simulation.producer import Backpressure
from placestream.stack.environment import environment
from placestream.stack.local import LocalStack

#: So many events may wait in a broker that keeps them in memory.
IN_MEMORY_LIMIT = 10_000
TRAINING_TIMEOUT_S = 900
#: A million places are loaded, and the crowd of each is read once, within minutes.
SERVE_TIMEOUT_S = 600


def fill_and_start(
    stack: LocalStack, city: City, console: Console, around: Surroundings | None = None
) -> None:
    """Start the servers and roles, stream the city's history, train, and bring into service.

    Places around the city come after the training: a model has seen few of a large catalogue.

    Raises:
        StartError, ChildDied, TimeoutError: a part did not do its work; says which.
        subprocess.CalledProcessError: the training failed; its log went to standard error.
    """
    fill(stack, city, console)
    with console.status("training both models"):
        train(stack)
    if around is not None:
        with console.status("publishing the places around"):
            around.publish(stack.settings)
    with console.status("waiting until the service is healthy"):
        stack.start_role("serve", timeout_s=SERVE_TIMEOUT_S)


def fill(stack: LocalStack, city: City, console: Console) -> None:
    """Start the servers, `stream` and a model server with no models yet; stream the history.

    Raises:
        StartError, ChildDied, TimeoutError: a part did not do its work; says which.
    """
    stack.start_servers()
    stack.create_topics()
    stack.start_role("stream")
    _stream(stack, city, console)
    stack.start_role("model-server")


def processes(stack: LocalStack) -> dict[str, tuple[int, ...]]:
    """Ids of the processes that share this machine's cores, by what they are; `client` is us."""
    roles, servers = stack.supervisor, (*stack.redis.children, *stack.broker.children)
    return {
        "serve": (roles.child("serve").pid,),
        "model_server": (roles.child("model-server").pid,),
        "redis_broker_stream": (*(c.pid for c in servers), roles.child("stream").pid),
        "client": (os.getpid(),),
    }


def _stream(stack: LocalStack, city: City, console: Console) -> None:
    with stack.redis.client() as client:
        following = Following(stack.settings, client)
        try:
            pressure = None
            if not stack.broker.declares_topics:
                pressure = Backpressure(following.behind, IN_MEMORY_LIMIT)
            stream_history(stack.settings, city, backpressure=pressure, console=console)
            following.wait(following.folded, "folded into features", console, stack.check)
            following.wait(following.archived, "archived", console, stack.check)
        finally:
            following.close()


def train(stack: LocalStack, **other: object) -> None:
    """Train a pair on all that was streamed and bring it into service; `other` are settings of it.

    Raises:
        subprocess.CalledProcessError: the training failed; its log went to standard error.
    """
    settings = stack.settings.model_copy(update=other)
    subprocess.run(
        [sys.executable, "-m", "benchmarks.train_and_activate"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **environment(settings)},
        stdout=subprocess.DEVNULL,
        timeout=TRAINING_TIMEOUT_S,
        check=True,
    )
