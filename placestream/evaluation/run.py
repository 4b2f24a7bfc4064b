"""From a file to the report, whichever protocol."""

from pathlib import Path
from typing import Any

from rich.console import Console

from contracts.settings import Settings
from models.progress import Reporter
from placestream.evaluation import next_place, published, tables
from placestream.evaluation.material import Material
from placestream.evaluation.next_place import Options
from placestream.simulation.checkins import load_checkins


def run(
    checkins: Path,
    protocol: str,
    options: Options,
    settings: Settings,
    progress: Reporter,
    console: Console,
) -> dict[str, Any]:
    """Judge, print the tables, and return everything as JSON takes it.

    Raises:
        BadCheckIns: the file cannot be used; names line and column.
        ValueError: the shares do not fit the file.
    """
    material = Material.of(load_checkins(checkins))
    if protocol == "trajectories":
        found = published.evaluate(material, options, settings, progress)
        console.print(published.table(found))
        return {"file": checkins.name, **published.report(found, options)}
    outcome = next_place.evaluate(material, options, settings, progress)
    tables.show(outcome, console)
    return {"file": checkins.name, **next_place.report(outcome, material, options)}
