"""The `placestream token` commands: who may call the service."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from placestream.command import give_up, load_settings, run_task

if TYPE_CHECKING:  # its room loads TensorFlow's protocol
    from placestream.token.book import Book

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Make, list and take back the tokens of those who may call the service.\n\n"
    "They stand in the file `PLACESTREAM_SERVE_CLIENTS_FILE`, hashed; `serve` reads it again "
    "within a second of a change. Without such a file anybody may call every method.\n\n"
    "Needs no server.\n\n"
    "Example: `placestream token new backend --rights recommend --rate 200`",
)
NameArgument = Annotated[str, typer.Argument(help="The client, e.g. `mobile-backend`.")]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file", help="The file of clients, if not that of the settings.", dir_okay=False
    ),
]


@app.command()
def new(
    name: NameArgument,
    rights: Annotated[
        str, typer.Option(help="What it may do, with commas: recommend, feedback, debug, a method.")
    ] = "",
    rate: Annotated[
        float | None, typer.Option(help="Requests a second, of each `serve`; none: no limit.")
    ] = None,
    burst: Annotated[
        int | None, typer.Option(help="Requests at once; none: those of one second.", min=1)
    ] = None,
    days: Annotated[float | None, typer.Option(help="The token ends after so many days.")] = None,
    file: FileOption = None,
) -> None:
    """Make a token and print it, once: only its hash is kept.

    A client may have several, so that a new one can be in use before the old one is taken back.

    Needs no server.

    Example: `placestream token new backend --rights recommend,feedback --rate 200 --days 365`
    """
    if (rate is not None and rate <= 0) or (days is not None and days <= 0):
        raise typer.BadParameter("--rate and --days must be greater than 0")
    book = _book(file)
    token = run_task(
        lambda: book.add_token(
            name,
            datetime.now(UTC).replace(microsecond=0),
            rights=[right.strip() for right in rights.split(",") if right.strip()] or None,
            requests_per_s=rate,
            burst=burst,
            days=days,
        )
    )
    typer.echo(f"A token of {name}, shown this once; its hash is in {book.path}:", err=True)
    typer.echo(token)


@app.command("list")
def list_clients(file: FileOption = None) -> None:
    """List the clients: rights, rates, and the ids of their tokens with their ends.

    Needs no server.

    Example: `placestream token list`
    """
    book = _book(file)
    clients = run_task(book.listed)
    from placestream.token.book import ID_DIGITS

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("client", "rights", "requests/s", "token", "until"):
        table.add_column(column, overflow="fold")
    for client in clients:
        rate = "any" if client.requests_per_s is None else f"{client.requests_per_s:g}"
        rows = [
            (token.sha256[:ID_DIGITS], "ever" if token.expires is None else str(token.expires))
            for token in client.tokens
        ]
        rows += [(f"certificate {name}", "") for name in client.certificates]
        for number, row in enumerate(rows or [("none", "")]):
            shown = (client.name, ", ".join(client.rights), rate) if number == 0 else ("", "", "")
            table.add_row(*shown, *row)
    Console().print(table)


@app.command()
def revoke(
    name: NameArgument,
    token_id: Annotated[
        str, typer.Argument(metavar="[ID]", help="The token, as `list` shows it; none: all.")
    ] = "",
    file: FileOption = None,
) -> None:
    """Take tokens back; `serve` refuses them within a second.

    Needs no server.

    Example: `placestream token revoke backend 1a2b3c4d`
    """
    book = _book(file)
    gone = run_task(lambda: book.revoke(name, token_id))
    typer.echo(f"{gone} taken back")


def _book(file: Path | None) -> "Book":
    settings = load_settings()
    path = file or settings.serve_clients_file
    if path is None:
        give_up("name the file of clients: PLACESTREAM_SERVE_CLIENTS_FILE, or --file")
    from placestream.token.book import Book

    return Book(path)
