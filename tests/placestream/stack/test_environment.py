"""Settings handed to another process."""

import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from contracts.settings import Settings
from placestream.stack.environment import environment, write_shell_file

CHANGED = {
    "partitions": 3,
    "serve_reflection": False,
    "archive_flush_s": 0.25,
    "kafka_password": SecretStr("a b'c\"$d"),
    "redis_url": SecretStr("redis://:p%40ss@cache:6379/1"),
    "models_dir": Path("/srv/my models"),
    "log_level": "DEBUG",
}


def test_another_process_sees_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting goes there and back, secrets too."""
    settings = Settings.model_validate(CHANGED)
    for name, text in environment(settings).items():
        monkeypatch.setenv(name, text)
    absolute = {name: v.absolute() for name, v in settings if isinstance(v, Path)}
    assert Settings(_env_file=None) == settings.model_copy(update=absolute)


def test_paths_do_not_depend_on_where_the_other_process_stands() -> None:
    """`var/archive` means ours."""
    text = environment(Settings(_env_file=None))["PLACESTREAM_ARCHIVE_DIR"]
    assert Path(text) == Path.cwd() / "var/archive"


def test_a_shell_can_read_the_file_and_others_cannot(tmp_path: Path) -> None:
    """Quotes and dollars survive; a password in it is for the owner's eyes."""
    settings = Settings.model_validate(CHANGED)
    file = tmp_path / "env"
    write_shell_file(settings, file)
    answer = subprocess.run(
        ["sh", "-c", f'. {file}; printf %s "$PLACESTREAM_KAFKA_PASSWORD"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == settings.kafka_password.get_secret_value()
    assert file.stat().st_mode & 0o077 == 0
