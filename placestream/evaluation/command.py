"""The subcommand `evaluate`."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from placestream.command import give_up, load_settings, run_task

_WIDTH = 180


def evaluate(
    checkins: Annotated[
        Path,
        typer.Option(
            help="A file of check-ins: CSV with user_id, venue_id, category, lat, lng, timestamp, "
            "or TSMC2014's own format; plain or gzip.",
            exists=True,
            dir_okay=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--json", help="Write everything there.", dir_okay=False)
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
) -> None:
    """Judge the models on real check-ins, beside strong baselines.

    Orders the check-ins by time and cuts them; trains on the first part, chooses on the second,
    and ranks the true next place of each check-in of the third. Our system answers as it is served;
    the baselines are tuned in the same run. What is measured how: docs/evaluation.md.

    Needs nothing but the file.

    Example: `placestream evaluate --checkins checkins.csv.gz --json report.json`
    """
    settings = load_settings("evaluate")
    shares = _shares(split)
    from models.progress import reporter_for
    from placestream.evaluation.next_place import Options
    from placestream.evaluation.run import run

    options = Options(shares, part, contestants, plain, settings.seed, most)
    # Progress and logs are for the eye; what a pipe takes is the table, as wide as it needs to be.
    progress = reporter_for(Console(stderr=True))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    report = run_task(lambda: run(checkins, protocol, options, settings, progress, console))
    if out is not None:
        run_task(lambda: _write(out, report))


def _shares(text: str) -> tuple[float, float, float]:
    try:
        train, validation, test = (float(share) for share in text.split(","))
    except ValueError:
        give_up(f"--split takes three shares with commas, like 0.8,0.1,0.1, not {text!r}")
    return train, validation, test


def _write(out: Path, report: dict[str, Any]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
