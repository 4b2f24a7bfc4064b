"""The command line of `placestream erase-user`."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from placestream.command import EXIT_FAILED, give_up, load_settings, run_task


def erase_user(
    users: Annotated[
        list[str], typer.Argument(metavar="USER_ID...", help="Whom, as events name them.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before erasing.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the proof as JSON, for programs.")
    ] = False,
    proof_file: Annotated[
        Path | None, typer.Option("--proof", help="Write the proof there too.", dir_okay=False)
    ] = None,
) -> None:
    """Remove people from Redis, archive, tables and every later training; print a proof.

    What they did until now is gone, and stays gone: events that are still in Kafka, or come late,
    are not folded, archived or trained on. What they do from now on counts as a new person's.
    Workers, services and the trainer may go on meanwhile. The proof says what was found and
    removed, what a second look found, and what remains where and until when. Where something fails
    in the middle, it says what was done till then, the exit code is 1, and running it again goes
    on.

    Needs Redis, and to write the archive and what `backfill` has made of it (so run it where
    `stream` runs, with PLACESTREAM_BACKFILL_DIR of the backfill, while no backfill runs).

    Example: `placestream erase-user 12345 --yes --proof erased.json`
    """
    settings = load_settings()
    if not yes and not _agreed(len(users)):
        give_up("nobody was erased (--yes erases without asking)")
    from placestream.erase.proof import as_json as proof_json
    from placestream.erase.proof import as_table
    from placestream.erase.run import run

    proof = run_task(lambda: run(settings, users, time.time))
    if as_json:
        typer.echo(proof_json(proof))
    else:
        Console().print(as_table(proof))
    if proof_file is not None:  # after it was shown: a file that cannot be written loses nothing
        run_task(lambda: proof_file.write_text(proof_json(proof) + "\n"))
    if not proof.is_clean:
        raise typer.Exit(EXIT_FAILED)


def _agreed(people: int) -> bool:
    """Ask; where nobody can answer, that is a no."""
    try:
        return typer.confirm(f"Erase {people} for good? There is no way back", err=True)
    except typer.Abort:
        return False
