"""What every subcommand does alike: reads settings, runs its part, and fails in plain words."""

from collections.abc import Callable
from typing import NoReturn, TypeVar

import structlog
import typer
from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from contracts.settings import Settings
from placestream import logs, show_settings

EXIT_FAILED, EXIT_BAD_SETTINGS = 1, 2
Result = TypeVar("Result")
_log = structlog.get_logger(__name__)


def load_settings(role: str = "") -> Settings:
    """Read the settings and set up the logs; say what is wrong and exit with 2 if they are bad."""
    try:
        settings = Settings()
    except ValidationError as error:
        for line in show_settings.complaints(error):
            typer.echo(line, err=True)
        raise typer.Exit(EXIT_BAD_SETTINGS) from None
    logs.configure(settings, role)
    return settings


def run_role(run: Callable[[], object]) -> None:
    """Run a role to its end; what it raises is logged, and the exit code is 1.

    A role's matrices are small: the threads that BLAS would keep for large ones only spin, and
    take the cores of the roles beside it.
    """
    try:
        with threadpool_limits(1, "blas"):
            run()
    except Exception:
        _log.exception("failed")
        raise typer.Exit(EXIT_FAILED) from None


def run_task(run: Callable[[], Result]) -> Result:
    """Run something that a person waits for; what stands in its way is said, and what to do next.

    With the log level DEBUG the traceback is logged too.
    """
    try:
        return run()
    except Exception as error:
        from placestream.next_step import explained  # it loads the servers' clients

        words = explained(error)
        if words is None:
            raise
        _log.debug("failed", exc_info=True)
        give_up(words)


def give_up(reason: object) -> NoReturn:
    """Say why on standard error, and exit with 1."""
    typer.echo(str(reason), err=True)
    raise typer.Exit(EXIT_FAILED)
