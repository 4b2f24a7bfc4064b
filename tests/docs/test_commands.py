"""Every `placestream` command line that a page prints is understood, option by option."""

import re
import shlex
from typing import Any

import pytest
import typer.main

from placestream.cli import app
from tests.docs_pages import DOCS, ROOT

PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
#: A line of a block (indented or fenced), with what may stand before the command.
_LINE = re.compile(
    r"^(?: {4})?(?:docker compose (?:exec|run)(?: --\w+| -\w+)* [\w-]+ |\.venv/bin/|[A-Z_]+=\S+ )*"
    r"placestream +(\S.*)$",
    re.MULTILINE,
)
_WITHIN = re.compile(r"`(?:\.venv/bin/)?placestream ([a-z][^`\n]*)`")


def printed() -> list[tuple[str, str]]:
    """Page and arguments of each command."""
    found = []
    for page in PAGES:
        text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
        for match in (*_LINE.finditer(text), *_WITHIN.finditer(text)):
            found.append((page.name, match[1].replace("…", "").strip()))
    return sorted(set(found))


def fault(line: str) -> str | None:
    """What the parser has against a command line, walking down to its subcommand; None: nothing."""
    arguments = shlex.split(re.split(r" [|>] ", line)[0], comments=True)
    command: Any = typer.main.get_command(app)
    context = command.context_class(command)
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        name = arguments.pop(0)
        if name not in command.commands:
            return f"no such command: {name}"
        command = command.commands[name]
        context = command.context_class(command, parent=context, info_name=name)
    try:
        _, left, _ = command.make_parser(context).parse_args(arguments)
    except Exception as error:  # the parser's own, of whichever click Typer brings
        return str(error)
    return f"left over: {left}" if left else None


@pytest.mark.parametrize(("page", "line"), printed())
def test_a_command_of_a_page_is_understood(page: str, line: str) -> None:
    """Subcommands and options exist, and those that want a value have one."""
    assert fault(line) is None, page


@pytest.mark.parametrize(
    "line", ["experiments sow pair-2", "evaluate --chekins f", "recommend --user", "demo now"]
)
def test_a_mistyped_command_is_found(line: str) -> None:
    """So that the test above can fail."""
    assert fault(line) is not None


def test_commands_are_found_at_all() -> None:
    """In blocks and within lines."""
    lines = {line for _, line in printed()}
    assert len(lines) > 30
    assert any(line.startswith("evaluate --checkins") for line in lines)
