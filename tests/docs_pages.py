"""Code blocks of the pages under docs/, so that a test runs what a reader copies."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, and its text."""

    language: str
    text: str


def blocks(page: str, language: str | None = None) -> list[Block]:
    """The fenced blocks of a page, in order; of one language, or of all."""
    found = [Block(name, textwrap.dedent(text)) for name, text in _FENCE.findall(page)]
    return [one for one in found if language in (None, one.language)]
