"""Settings for people: what each is, where it comes from, and what is wrong with it."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import SecretStr, ValidationError
from rich.table import Table

from contracts.settings import Settings
from placestream.logs import HIDDEN, clean_url


@dataclass(frozen=True)
class Line:
    """One setting as it is shown; a secret is hidden already."""

    variable: str
    value: str | int | float | bool | None
    is_default: bool
    meaning: str


def variable_of(field: str) -> str:
    """Return the environment variable of a setting."""
    return f"{Settings.model_config['env_prefix']}{field.upper()}"


def lines(settings: Settings) -> list[Line]:
    """Return every setting in the order of its declaration."""
    fields = type(settings).model_fields
    return [
        Line(
            variable=variable_of(name),
            value=_shown(getattr(settings, name)),
            is_default=getattr(settings, name) == field.default,
            meaning=field.description or "",
        )
        for name, field in fields.items()
    ]


def _shown(value: Any) -> str | int | float | bool | None:
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        # Of a URL only the password is a secret; where Redis is, people need to see.
        return clean_url(text) if "://" in text else HIDDEN if text else ""
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


def as_table(settings: Settings) -> Table:
    """Return a table for a terminal; what differs from the default stands out."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("variable", no_wrap=True)
    for column in ("value", "", "meaning"):
        table.add_column(column, overflow="fold")
    for line in lines(settings):
        style = "" if line.is_default else "bold green"
        value = "" if line.value is None else str(line.value)
        table.add_row(
            line.variable, value, "" if line.is_default else "set", line.meaning, style=style
        )
    return table


def as_json(settings: Settings) -> str:
    """Return a JSON object, variable to value, default or not, and meaning."""
    shown = {line.variable: asdict(line) for line in lines(settings)}
    for line in shown.values():
        del line["variable"]
    return json.dumps(shown, indent=2)


def complaints(error: ValidationError) -> list[str]:
    """Return one line for each setting that is wrong: its variable, the fault, and its value."""
    return [_complaint(fault["loc"], fault["msg"], fault["input"]) for fault in error.errors()]


def _complaint(place: tuple[int | str, ...], fault: str, given: Any) -> str:
    if not place:  # of several settings together; the message names them
        return fault.removeprefix("Value error, ")
    name = str(place[0])
    field = Settings.model_fields.get(name)
    variable = variable_of(name) if field is not None else name
    secret = field is None or field.annotation is SecretStr
    return f"{variable}: {fault}" + ("" if secret else f" (it is {given!r})")
