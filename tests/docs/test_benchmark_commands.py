"""Every `python -m benchmarks...` of a page is understood by its own parser; none is run."""

import argparse
import importlib.util
import re
import runpy
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import pytest

from tests.docs_pages import DOCS, ROOT

# Other tests have imported some of the modules; they are read anew here.
pytestmark = pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")

PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted(DOCS.rglob("*.md"))]
#: Up to the end of a line or of a quotation.
_COMMAND = re.compile(r"python -m (benchmarks\.[^`\n|]*)")
#: Benchmarks without options.
PLAIN = {"benchmarks.access"}


class Understood(Exception):
    """The parser took the arguments; what comes after it is not for a test."""


def printed() -> list[tuple[str, str]]:
    """Page and module with its arguments, of each command."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        # Prose breaks a quotation where its line is full; a shell has a backslash there.
        text = re.sub(r"\\\n\s*", " ", text)
        text = re.sub(r"`[^`\n]+\n[^`\n]+`", lambda quoted: quoted[0].replace("\n", " "), text)
        found += [(page.name, match[1].strip()) for match in _COMMAND.finditer(text)]
    return sorted(set(found))


def fault(line: str, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """What a benchmark's parser has against a command line; None: nothing.

    The module is run as the command would, up to its parser's verdict.
    """
    module, *arguments = shlex.split(line, comments=True)
    try:
        if importlib.util.find_spec(module) is None:
            return f"no such module: {module}"
    except ModuleNotFoundError:
        return f"no such module: {module}"
    if module in PLAIN:
        return f"it has no options: {arguments}" if arguments else None
    parse = argparse.ArgumentParser.parse_args

    def only_parse(
        self: argparse.ArgumentParser, args: Sequence[str] | None = None, namespace: Any = None
    ) -> NoReturn:
        parse(self, args, namespace)
        raise Understood

    def refuse(_: argparse.ArgumentParser, message: str) -> NoReturn:
        raise ValueError(message)

    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", only_parse)
        patched.setattr(argparse.ArgumentParser, "error", refuse)
        patched.setattr(sys, "argv", [module, *arguments])
        try:
            runpy.run_module(module, run_name="__main__")
        except Understood:
            return None
        except ValueError as error:
            return str(error)
    return f"{module} has no parser"


@pytest.mark.parametrize(("page", "line"), printed())
def test_a_benchmark_of_a_page_is_understood(
    page: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module exists, its options too, and those that want a value have one."""
    assert fault(line, monkeypatch) is None, page


@pytest.mark.parametrize(
    "line",
    [
        "benchmarks.strem --events 300000",
        "benchmarks.stream --event_count 300000",
        "benchmarks.recommend --rates 10,fast",
        "benchmarks.access --json",
        "benchmarks.console_picture",
    ],
)
def test_a_mistyped_benchmark_is_found(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test above can fail."""
    assert fault(line, monkeypatch) is not None


def test_benchmarks_are_found_at_all() -> None:
    """Of several pages, with options and without, and where a line breaks within."""
    lines = {line for _, line in printed()}
    assert len(lines) > 20
    assert {"benchmarks.scoring", "benchmarks.recommend --rates 10,50,100 --seconds 5"} <= lines
    assert not any(line.endswith(("`", "\\")) for line in lines)
