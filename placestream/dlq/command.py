"""The `placestream dlq` commands: look at dead letters, and replay them once they can be used."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from placestream.command import EXIT_FAILED, give_up, load_settings, run_task
from placestream.dlq.letters import Choice, LetterId, TopicName

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Look at dead letters, and replay them: the events that could not be used.\n\n"
    "`list` counts them by what is wrong, `show` prints one whole, and `replay` sends those that "
    "can be used by now to where they were meant to go.\n\n"
    "Needs Kafka; `replay` needs Redis too.\n\n"
    "Example: `placestream dlq list`",
)


def _letter_id(text: str) -> LetterId:
    try:
        return LetterId.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time; write 2026-01-31T12:00:00Z") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


TopicOption = Annotated[
    list[TopicName] | None,
    typer.Option("--topic", help="Only letters of this topic (may be repeated)."),
]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="Only with this text in the field or the reason.")
]
SinceOption = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        parser=_moment,
        metavar="TIME",
        help="Only put aside since then, ISO 8601; UTC where it has no zone.",
    ),
]


@app.command("list")
def list_letters(
    topic: TopicOption = None,
    reason: ReasonOption = "",
    since: SinceOption = None,
    newest: Annotated[
        int, typer.Option(help="How many single letters to list.", min=0, max=10_000)
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Count the dead letters by topic, field, reason and code version; list the newest.

    Reasons that differ only in a value that they quote are counted as one.

    Needs Kafka.

    Example: `placestream dlq list --reason rating --since 2026-01-31`
    """
    settings = load_settings()
    from placestream.dlq import listing
    from placestream.dlq.reader import DeadLetterReader

    choice = _choice(topic, reason, since)

    def read() -> listing.Overview:
        with DeadLetterReader(settings, choice.topics) as letters:
            return listing.overview(filter(choice.takes, letters), newest)

    seen = run_task(read)
    if as_json:
        typer.echo(listing.as_json(seen))
    else:
        Console().print(listing.as_text(seen))


@app.command()
def show(
    letter_id: Annotated[
        LetterId, typer.Argument(parser=_letter_id, metavar="ID", help="As `list` shows it.")
    ],
    raw: Annotated[
        typer.FileBinaryWrite | None,
        typer.Option("--raw", help="Write the event's own bytes to a file; -: standard output."),
    ] = None,
) -> None:
    """Print one dead letter whole: where it comes from, what is wrong, key, headers and value.

    Needs Kafka.

    Example: `placestream dlq show interactions:0:17`
    """
    settings = load_settings()
    from placestream.dlq import show as show_letter
    from placestream.dlq.reader import DeadLetterReader

    with run_task(lambda: DeadLetterReader(settings, [letter_id.topic])) as letters:
        letter = run_task(lambda: letters.get(letter_id))
    if raw is None:
        Console().print(show_letter.as_text(letter))
    elif letter.dead.value is None:
        give_up(f"{letter_id} has no value: nothing to write")
    else:
        raw.write(letter.dead.value)


@app.command()
def replay(
    ids: Annotated[
        list[LetterId] | None,
        typer.Argument(parser=_letter_id, metavar="ID", help="These letters; none: all."),
    ] = None,
    topic: TopicOption = None,
    reason: ReasonOption = "",
    since: SinceOption = None,
    edit: Annotated[
        typer.FileBinaryRead | None,
        typer.Option(help="Send these bytes in place of the event's own; with one ID; -: input."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what was replayed before.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before sending.")] = False,
) -> None:
    """Send dead letters to the topics that they were meant for.

    Each is checked first, by this version of the code: what is still bad is not sent, is counted,
    and makes the exit code 1. What was replayed before is passed over, so that an event counts
    once however often this is run.

    Needs Kafka and Redis.

    Example: `placestream dlq replay --reason rating --dry-run`
    """
    if ids and (topic or reason or since):
        raise typer.BadParameter("give either ids, or --topic, --reason and --since")
    if edit is not None and len(ids or ()) != 1:
        raise typer.BadParameter("--edit takes exactly one ID")
    settings = load_settings()
    from placestream.dlq import replay as replay_letters

    order = replay_letters.Order(
        ids=ids or (),
        choice=_choice(topic, reason, since),
        again=again,
        edited=None if edit is None else edit.read(),
    )

    def agreed(letters: int) -> bool:
        if dry_run or yes:
            return yes and not dry_run
        return _confirmed(f"Send {letters:,} to Kafka at {settings.kafka_bootstrap}?")

    if not run_task(lambda: replay_letters.run(settings, order, Console(), agreed)):
        raise typer.Exit(EXIT_FAILED)


class Declined(RuntimeError):
    """Whoever was asked did not agree."""


def _confirmed(question: str) -> bool:
    """Ask; where nobody can answer, that is a no.

    Raises:
        Declined: so that the exit code tells it from all being done.
    """
    try:
        if typer.confirm(question):
            return True
    except typer.Abort:
        typer.echo()
    raise Declined("nothing was sent (--yes sends without asking)")


def _choice(topics: list[TopicName] | None, reason: str, since: datetime | None) -> Choice:
    return Choice(tuple(topics or TopicName), reason, since)
