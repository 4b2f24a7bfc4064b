"""The subcommand `evaluate`."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from placestream.command import give_up, load_settings, run_task

_WIDTH = 180
_CITY_REQUESTS = 1_000


def evaluate(
    checkins: Annotated[
        Path | None,
        typer.Option(
            help="A file of check-ins: CSV with user_id, venue_id, category, lat, lng, timestamp, "
            "or TSMC2014's own format; plain or gzip.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--json", help="Write everything there.", dir_okay=False)
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page to look at, one file.", dir_okay=False),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Shares of train, validation and test, oldest first.")
    ] = "0.8,0.1,0.1",
    protocol: Annotated[
        Literal["next-place", "trajectories"],
        typer.Option(help="Every next place; or the last of each trajectory, as published."),
    ] = "next-place",
    part: Annotated[
        Literal["test", "validation"],
        typer.Option(help="What to judge on. While developing: validation."),
    ] = "test",
    contestants: Annotated[
        Literal["all", "ours", "baselines"], typer.Option(help="Who takes part.")
    ] = "all",
    plain: Annotated[
        bool, typer.Option("--plain", help="Matrix factorisation and wide & deep take part, too.")
    ] = False,
    most: Annotated[
        int | None, typer.Option(help="Judge at most so many requests, drawn evenly.", min=1)
    ] = None,
    city: Annotated[
        bool,
        typer.Option(
            "--city", help="Judge on a simulated city, whose truth is known, instead of a file."
        ),
    ] = False,
    city_users: Annotated[int, typer.Option(help="People of the simulated city.", min=1)] = 500,
    city_places: Annotated[int, typer.Option(help="Its places.", min=1)] = 1_000,
    city_days: Annotated[float, typer.Option(help="Days of its history.", min=1)] = 21,
) -> None:
    """Judge the models on real check-ins, beside strong baselines; or on a simulated city.

    Orders the check-ins by time and cuts them; trains on the first part, chooses on the second,
    and ranks the true next place of each check-in of the third. Our system answers as it is served;
    the baselines are tuned in the same run. What is measured how: docs/evaluation.md.

    With --city: how much true utility our places miss of the best possible, and what the city's
    people do who are shown them (click-through, conversion, rating); the nearest open places and
    the best possible stand beside. Of the other options only --most (1,000), --json and --html
    count then.

    Needs nothing but the file, or not even that.

    Example: `placestream evaluate --checkins checkins.csv.gz --html report.html`, or
    `placestream evaluate --city --most 500`
    """
    settings = load_settings("evaluate")
    if (checkins is None) is not city:
        give_up("evaluate needs a file (--checkins FILE) or --city, and not both")
    shares = _shares(split)
    from models.progress import reporter_for
    from placestream.evaluation import city as simulated
    from placestream.evaluation.next_place import Options
    from placestream.evaluation.run import run
    from placestream.simulation.plan import Plan

    # Progress and logs are for the eye; what a pipe takes is the table, as wide as it needs to be.
    progress = reporter_for(Console(stderr=True))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)

    def judge() -> dict[str, Any]:
        if checkins is None:
            plan = Plan(users=city_users, places=city_places, days=city_days)
            requests = most or _CITY_REQUESTS
            its_own = {"requests": requests, "seed": settings.seed}
            return simulated.run(plan, settings, progress, console, **its_own)
        options = Options(shares, part, contestants, plain, settings.seed, most)
        return run(checkins, protocol, options, settings, progress, console)

    report = run_task(judge)
    if out is not None:
        run_task(lambda: _write(out, report))
    if page is not None:
        from models.report.page import write
        from placestream.evaluation.html import page_of

        run_task(lambda: write(page_of(report), page))


def _shares(text: str) -> tuple[float, float, float]:
    try:
        train, validation, test = (float(share) for share in text.split(","))
    except ValueError:
        give_up(f"--split takes three shares with commas, like 0.8,0.1,0.1, not {text!r}")
    return train, validation, test


def _write(out: Path, report: dict[str, Any]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
