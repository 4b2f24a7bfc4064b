"""A report as one HTML file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from models.report.charts import Section

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """What a report says.

    Attributes:
        title: of the page.
        lead: the one sentence for who reads no other.
        facts: figures that stand at the top, by name.
        sections: the rest, in order.
    """

    title: str
    lead: str
    facts: Mapping[str, str]
    sections: Sequence[Section]

    def html(self) -> str:
        """The page; it asks for nothing else, and its policy would not let it."""
        return _template().render(page=self)


def write(page: Page, out: Path) -> None:
    """Write a page to a file, whose folder is made."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page.html(), encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")
