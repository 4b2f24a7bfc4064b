"""Checks of a message's fields: each finding has the field's name and one stable reason."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from contracts.ids import MAX_ID_BYTES, BadId, canonical_id

#: As long as the events allow for texts (`contracts.events.ShortText`).
MAX_TEXT_CHARS = 512

REQUIRED = "REQUIRED"
NOT_FINITE = "NOT_FINITE"
OUT_OF_RANGE = "OUT_OF_RANGE"
TOO_LONG = "TOO_LONG"
TOO_MANY = "TOO_MANY"
BAD_ID = "BAD_ID"
UNKNOWN_VALUE = "UNKNOWN_VALUE"
NOT_A_MESSAGE = "NOT_A_MESSAGE"

#: The details of an error travel in HTTP/2 trailers, of which a client takes 8 KiB by default.
MAX_VIOLATIONS = 8


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong: dotted path of the field, stable reason, text for a person."""

    field: str
    reason: str
    text: str


class BadRequest(ValueError):
    """A request that nobody can answer.

    Attributes:
        violations: what is wrong, at most `MAX_VIOLATIONS`, in the order of the fields.
    """

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{v.field}: {v.text}" for v in violations))
        self.violations = tuple(violations)


class Checks:
    """Collects what is wrong with a message, field by field."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def blame(self, field: str, reason: str, text: str) -> None:
        """Note a finding, up to `MAX_VIOLATIONS` of them."""
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(Violation(field, reason, text))

    def within(self, field: str, value: float, least: float, most: float) -> None:
        """Want a finite number within bounds."""
        if not math.isfinite(value):
            self.blame(field, NOT_FINITE, "must be a finite number")
        elif not least <= value <= most:
            self.blame(field, OUT_OF_RANGE, f"must lie within {least:g} and {most:g}")

    def text(self, field: str, value: str) -> None:
        """Want a text of bearable length."""
        if len(value) > MAX_TEXT_CHARS:
            self.blame(field, TOO_LONG, f"must have at most {MAX_TEXT_CHARS} characters")

    def an_id(self, field: str, value: str) -> None:
        """Want an id as events have it."""
        if not value:
            self.blame(field, REQUIRED, "must not be empty")
        elif len(value.encode()) > MAX_ID_BYTES:
            self.blame(field, TOO_LONG, f"must have at most {MAX_ID_BYTES} bytes")
        else:
            try:
                canonical_id(value)
            except BadId as error:
                self.blame(field, BAD_ID, str(error))

    def each(
        self, field: str, values: Sequence[str], most: int, check: Callable[[str, str], object]
    ) -> None:
        """Want not too many values, and each of them good."""
        if len(values) > most:
            self.blame(field, TOO_MANY, f"must hold at most {most} values, not {len(values)}")
            return
        for i, value in enumerate(values):
            check(f"{field}[{i}]", value)

    def done(self) -> None:
        """Go on if nothing was found.

        Raises:
            BadRequest: something was.
        """
        if self.violations:
            raise BadRequest(self.violations)
