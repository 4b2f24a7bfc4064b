"""The command line of `placestream plan`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from placestream.command import run_task


def plan(
    users: Annotated[int, typer.Option(help="Users with a state.")],
    places: Annotated[int, typer.Option(help="Places.")],
    events_per_s: Annotated[float, typer.Option(help="Events a second, at the busiest time.")],
    requests_per_s: Annotated[float, typer.Option(help="Requests a second, at the busiest time.")],
    hot_share: Annotated[
        float, typer.Option(help="Share of all events that happen at the hottest place.")
    ] = 0.001,
    mean_ratio: Annotated[
        float, typer.Option(help="The average of a week to the busiest time: what disks fill with.")
    ] = 1 / 3,
    core_hour: Annotated[float | None, typer.Option(help="Price of a core for an hour.")] = None,
    gib_hour: Annotated[float | None, typer.Option(help="Of a GiB of memory.")] = None,
    disk_gib_month: Annotated[float | None, typer.Option(help="Of a GiB of disk.")] = None,
    seed: Annotated[int, typer.Option(help="Of the simulation.")] = 17,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Tell how much of everything a load needs, and what it costs.

    Partitions, workers, Redis shards, service and model-server replicas, from constants that
    `benchmarks/` measured (docs/capacity.md); then simulates that installation: latency, one
    process of each kind lost, a Redis shard that fails over.

    Needs nothing.

    Example: `placestream plan --users 1000000 --places 100000 --events-per-s 5000
    --requests-per-s 500`
    """
    import numpy as np

    from placestream.capacity.constants import Prices, load
    from placestream.capacity.held_to import told
    from placestream.capacity.load import Load
    from placestream.capacity.scenario import simulate
    from placestream.capacity.show import show
    from placestream.capacity.sizing import make_plan

    constants, prices = load()
    chosen = {"core_hour": core_hour, "gib_hour": gib_hour, "disk_gib_month": disk_gib_month}
    given = {name: price for name, price in chosen.items() if price is not None}
    prices = Prices(**(asdict(prices) | given))
    wanted = run_task(
        lambda: Load(users, places, events_per_s, requests_per_s, hot_share, mean_ratio)
    )
    made = make_plan(wanted, constants, prices)
    outcome = simulate(made, constants, np.random.default_rng(seed))
    if as_json:
        typer.echo(json.dumps(made.as_dict() | {"simulated": asdict(outcome)}))
    else:
        show(made, outcome, told(constants), Console())
