"""`placestream token`: the file of clients, as the commands leave it."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from inference.access.clients import ClientList, digest, read
from placestream.cli import app
from placestream.token.book import Book

Run = Callable[..., Result]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the settings say that the clients are; not there yet."""
    return tmp_path / "clients.json"


@pytest.fixture
def run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a subcommand with the settings that name the file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLACESTREAM_SERVE_CLIENTS_FILE", str(path))
    root = logging.getLogger()
    before = (root.handlers, root.level)
    yield lambda *words: CliRunner().invoke(app, ["token", *words])
    root.handlers, root.level = before
    structlog.reset_defaults()


def test_a_token_is_shown_once_and_kept_as_a_hash(run: Run, path: Path) -> None:
    """Standard output is the token alone; the file can be read by its owner alone."""
    result = run("new", "backend", "--rights", "recommend, feedback", "--rate", "200")
    token = result.stdout.strip()
    assert token.startswith("pst_")
    assert len(token) == len("pst_") + 43  # 32 bytes in base64, without padding
    assert token not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    (client,) = read(path).clients
    assert (client.name, client.rights) == ("backend", ["recommend", "feedback"])
    assert client.requests_per_s == 200
    (kept,) = client.tokens
    assert kept.sha256 == hashlib.sha256(token.encode()).hexdigest()
    assert kept.expires is None


def test_tokens_are_never_the_same(run: Run) -> None:
    """And a client may have two, while one takes the place of the other."""
    first = run("new", "backend", "--rights", "recommend").stdout
    second = run("new", "backend").stdout
    assert first != second


def test_a_second_token_changes_only_what_is_given(run: Run, path: Path) -> None:
    """Rights and rate stay, unless they are named."""
    run("new", "backend", "--rights", "recommend", "--rate", "5")
    run("new", "backend", "--burst", "9", "--days", "30")
    (client,) = read(path).clients
    assert (client.rights, client.requests_per_s, client.burst) == (["recommend"], 5, 9)
    first, second = client.tokens
    assert first.expires is None
    assert second.expires is not None
    assert second.created is not None
    assert (second.expires - second.created).days == 30


def test_one_token_or_all_are_taken_back(run: Run, path: Path) -> None:
    """Without any, a client is known by nothing, and leaves the file; others stay."""
    run("new", "ops", "--rights", "debug")
    for _ in range(3):
        run("new", "backend", "--rights", "recommend")
    ids = [token.sha256[:8] for token in read(path).clients[1].tokens]
    assert "1 taken back" in run("revoke", "backend", ids[1]).stdout
    assert [t.sha256[:8] for t in read(path).clients[1].tokens] == [ids[0], ids[2]]
    assert "2 taken back" in run("revoke", "backend").stdout
    assert [client.name for client in read(path).clients] == ["ops"]


def test_of_two_changes_at_once_none_undoes_the_other(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that one operator takes back while others make theirs is not in their lists."""
    book, now = Book(path), datetime.now(UTC)
    for name in ("stolen", "backend"):
        book.add_token(name, now, rights=["recommend"])

    def slowly(file: Path) -> ClientList:
        listed = read(file)
        time.sleep(0.05)  # in which all others have read it too, if they may
        return listed

    monkeypatch.setattr("placestream.token.book.read", slowly)
    with ThreadPoolExecutor(5) as operators:
        made = [operators.submit(Book(path).add_token, "backend", now) for _ in range(4)]
        taken_back = operators.submit(Book(path).revoke, "stolen")
    kept = {token.sha256 for client in read(path).clients for token in client.tokens}
    assert taken_back.result() == 1
    assert {digest(token.result()).hex() for token in made} < kept
    assert len(kept) == 1 + len(made)


def test_the_list_shows_no_token(run: Run) -> None:
    """But by which id it is taken back."""
    token = run("new", "backend", "--rights", "recommend", "--rate", "5").stdout.strip()
    shown = run("list").stdout
    assert hashlib.sha256(token.encode()).hexdigest()[:8] in shown
    assert "backend" in shown
    assert token not in shown


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("new", "backend"), "say with --rights"),
        (("new", "backend", "--rights", "recomend"), "no right 'recomend'"),
        (("new", "two words", "--rights", "recommend"), "regex"),
        (("new", "backend", "--rights", "recommend", "--rate", "0"), "greater than 0"),
        (("revoke", "nobody"), "no client nobody"),
    ],
)
def test_mistakes_change_nothing(
    run: Run, path: Path, words: tuple[str, ...], complaint: str
) -> None:
    """They are said, and there is no file of them."""
    result = run(*words)
    assert result.exit_code != 0
    assert complaint in " ".join(result.output.split())
    assert not path.exists()


def test_an_unknown_token_is_not_taken_back(run: Run, path: Path) -> None:
    """Not all of them for want of one."""
    run("new", "backend", "--rights", "recommend")
    result = run("revoke", "backend", "ffffffffffff")
    assert result.exit_code == 1
    assert "no token ffffffffffff" in result.output
    assert len(read(path).clients[0].tokens) == 1


def test_a_damaged_file_is_left_as_it_is(run: Run, path: Path) -> None:
    """Somebody wrote it by hand, and will want to mend it."""
    path.write_text(json.dumps({"clients": [{"nam": "backend"}]}))
    before = path.read_text()
    assert run("new", "x", "--rights", "recommend").exit_code == 1
    assert path.read_text() == before


def test_who_may_read_the_file_stays_so(run: Run, path: Path) -> None:
    """`serve` may be another user."""
    run("new", "backend", "--rights", "recommend")
    path.chmod(0o640)
    run("new", "backend")
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_file_must_be_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the settings or on the command line."""
    monkeypatch.delenv("PLACESTREAM_SERVE_CLIENTS_FILE")
    result = run("list")
    assert result.exit_code == 1
    assert "PLACESTREAM_SERVE_CLIENTS_FILE" in result.output
    assert run("list", "--file", "none.json").exit_code == 0
